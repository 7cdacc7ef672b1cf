/* Running a function inside a network namespace without moving the caller into it. */
#ifndef WEFT_NETNS_H
#define WEFT_NETNS_H

/* The caller's own namespace: the function simply runs. */
#define NETNS_OWN (-1)
/* A new, empty namespace that ends with the function (feature probes). */
#define NETNS_NEW (-2)

/*
 * Runs fn(arg) on a short-lived thread that has entered the namespace behind `netns_fd`.
 *
 * The calling thread belongs to Node: if it changed its namespace, every later socket of the process would be made
 * there. Returns what fn returned, or -errno with *syscall set when the namespace could not be entered.
 */
int netns_run(int netns_fd, int (*fn)(void *), void *arg, const char **syscall);

#endif
