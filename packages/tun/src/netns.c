#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>

struct call {
    int netns_fd;
    int (*fn)(void *);
    void *arg;
    const char *syscall;
    int result;
};

static void *enter(void *data)
{
    struct call *call = data;

    if (call->netns_fd == NETNS_NEW) {
        if (unshare(CLONE_NEWNET) != 0) {
            call->syscall = "unshare(CLONE_NEWNET)";
            call->result = -errno;
            return NULL;
        }
    } else if (setns(call->netns_fd, CLONE_NEWNET) != 0) {
        call->syscall = "setns";
        call->result = -errno;
        return NULL;
    }
    call->result = call->fn(call->arg);
    return NULL;
}

int netns_run(int netns_fd, int (*fn)(void *), void *arg, const char **syscall)
{
    struct call call = { netns_fd, fn, arg, NULL, 0 };
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int err;

    if (netns_fd == NETNS_OWN)
        return fn(arg);

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    /* Signals stay with Node's own threads: the new one inherits a full mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&thread, &attr, enter, &call);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (err != 0) {
        *syscall = "pthread_create";
        return -err;
    }
    pthread_join(thread, NULL);
    if (call.syscall != NULL)
        *syscall = call.syscall;
    return call.result;
}
