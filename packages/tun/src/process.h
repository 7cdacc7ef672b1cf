/* Small calls a daemon needs and Node lacks. All return ≥ 0, or -errno. */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <stddef.h>

/* Binds the abstract Unix socket of that name (without the leading NUL). EADDRINUSE: somebody holds it. */
int abstract_lock(const char *name, size_t len);
/* flock(LOCK_EX | LOCK_NB). EWOULDBLOCK: somebody holds it. */
int file_lock(int fd);
/* Sends one datagram to a Unix socket; a path that starts with '@' is abstract. */
int unix_send(const char *path, size_t path_len, const char *text, size_t len);
/* The signal this process gets when the thread that started it ends; 0: none. */
int parent_death_signal(int signal);
/* Gives what malloc holds free, of all arenas, back to the system. Returns 1 when there was any. glibc only; else 0. */
int trim_memory(void);

#endif
