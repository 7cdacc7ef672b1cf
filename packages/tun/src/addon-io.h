/*
 * The part of the addon that moves frames: Io handles and their functions.
 */
#ifndef WEFT_ADDON_IO_H
#define WEFT_ADDON_IO_H

#include "values.h"

struct io;

/* An Io and what keeps its memory alive. Lives as long as its handle in JavaScript. */
struct handle {
    struct addon *addon;
    struct handle *next;
    struct io *io;          /* NULL: closed */
    napi_ref memory;
};

/* What one environment (the main thread, each worker) owns. */
struct addon {
    struct handle *handles;
};

/* Closes what a handle holds; the handle itself is freed by its finalizer. */
void close_handle(napi_env env, struct handle *handle);
/* Puts the functions ioCreate … ioClose on `exports`. */
void addon_io_register(napi_env env, napi_value exports);

struct addon_function {
    const char *name;
    napi_callback fn;
};
/* Puts named functions on `exports`. */
void addon_register(napi_env env, napi_value exports, const struct addon_function *functions, size_t count);

#endif
