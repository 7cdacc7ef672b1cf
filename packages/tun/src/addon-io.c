#define _GNU_SOURCE
#include "addon-io.h"

#include <errno.h>
#include <stdlib.h>

#include "io.h"

void close_handle(napi_env env, struct handle *handle)
{
    if (handle->io == NULL)
        return;
    io_destroy(handle->io);
    handle->io = NULL;
    napi_delete_reference(env, handle->memory);
    for (struct handle **at = &handle->addon->handles; *at != NULL; at = &(*at)->next) {
        if (*at == handle) {
            *at = handle->next;
            break;
        }
    }
}

static void finalize_handle(napi_env env, void *data, void *hint)
{
    struct handle *handle = data;

    (void)hint;
    close_handle(env, handle);
    free(handle);
}

/* ioCreate(memory, worker, gso: 0 | 1) → handle */
static napi_value io_create_js(napi_env env, napi_callback_info info)
{
    napi_value args[3], out = NULL;
    struct handle *handle;
    struct addon *addon = NULL;
    const char *why;
    uint8_t *data;
    size_t len;
    int32_t worker, gso;
    int err;

    if (!take_args(env, info, 3, args) || !as_octets(env, args[0], &data, &len) || !as_i32(env, args[1], &worker) ||
        !as_i32(env, args[2], &gso))
        return NULL;
    napi_get_instance_data(env, (void **)&addon);
    handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        return fail(env, "malloc", ENOMEM, NULL);
    handle->io = io_create(data, len, (uint32_t)worker, gso != 0, &err, &why);
    if (handle->io == NULL) {
        free(handle);
        return why != NULL ? fail(env, "createIo", EINVAL, why) : fail(env, "epoll_create1", err, NULL);
    }
    handle->addon = addon;
    handle->next = addon->handles;
    addon->handles = handle;
    napi_create_reference(env, args[0], 1, &handle->memory);
    if (napi_create_external(env, handle, finalize_handle, NULL, &out) != napi_ok) {
        close_handle(env, handle);
        free(handle);
    }
    return out;
}

/* The Io behind the first argument and `extra` numbers behind it; NULL with an exception pending. */
static struct io *take_io(napi_env env, napi_callback_info info, size_t extra, int32_t *numbers)
{
    napi_value args[ARGS_MAX];
    struct handle *handle = NULL;

    if (!take_args(env, info, 1 + extra, args))
        return NULL;
    if (napi_get_value_external(env, args[0], (void **)&handle) != napi_ok || handle->io == NULL) {
        fail(env, "io", EBADF, NULL);
        return NULL;
    }
    for (size_t i = 0; i < extra; i++)
        if (!as_i32(env, args[1 + i], &numbers[i]))
            return NULL;
    return handle->io;
}

static napi_value io_wake_fd_js(napi_env env, napi_callback_info info)
{
    struct io *io = take_io(env, info, 0, NULL);
    return io ? number(env, io->wake_fd) : NULL;
}

static napi_value io_add_port_js(napi_env env, napi_callback_info info)
{
    int32_t n[3];
    struct io *io = take_io(env, info, 3, n);
    return io ? result(env, io_add_port(io, (uint32_t)n[0], n[1], n[2] != 0), "addPort") : NULL;
}

static napi_value io_remove_port_js(napi_env env, napi_callback_info info)
{
    int32_t n[1];
    struct io *io = take_io(env, info, 1, n);
    return io ? result(env, io_remove_port(io, (uint32_t)n[0]), "removePort") : NULL;
}

static napi_value io_add_receiver_js(napi_env env, napi_callback_info info)
{
    int32_t n[2];
    struct io *io = take_io(env, info, 2, n);
    return io ? result(env, io_add_receiver(io, (uint32_t)n[0], n[1]), "addReceiver") : NULL;
}

static napi_value io_add_sender_js(napi_env env, napi_callback_info info)
{
    int32_t n[2];
    struct io *io = take_io(env, info, 2, n);
    return io ? result(env, io_add_sender(io, (uint32_t)n[0], n[1]), "addSender") : NULL;
}

static napi_value io_poll_js(napi_env env, napi_callback_info info)
{
    int32_t n[2];
    struct io *io = take_io(env, info, 2, n);
    return io ? result(env, io_poll(io, n[0], n[1]), "epoll_wait") : NULL;
}

static napi_value io_read_ports_js(napi_env env, napi_callback_info info)
{
    int32_t n[1];
    struct io *io = take_io(env, info, 1, n);
    return io ? number(env, io_read_ports(io, (uint32_t)n[0])) : NULL;
}

static napi_value io_receive_js(napi_env env, napi_callback_info info)
{
    int32_t n[1];
    struct io *io = take_io(env, info, 1, n);
    return io ? number(env, io_receive(io, (uint32_t)n[0])) : NULL;
}

static napi_value io_send_js(napi_env env, napi_callback_info info)
{
    int32_t n[1];
    struct io *io = take_io(env, info, 1, n);
    return io ? result(env, io_send(io, (uint32_t)n[0]), "send") : NULL;
}

/* ioTakeGone(handle) → number[] */
static napi_value io_take_gone_js(napi_env env, napi_callback_info info)
{
    struct io *io = take_io(env, info, 0, NULL);
    napi_value out = NULL;

    if (io == NULL)
        return NULL;
    napi_create_array_with_length(env, io->gone_len, &out);
    for (uint32_t i = 0; i < io->gone_len; i++)
        napi_set_element(env, out, i, number(env, io->gone[i]));
    io->gone_len = 0;
    return out;
}

static napi_value io_close_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    struct handle *handle = NULL;

    if (take_args(env, info, 1, args) && napi_get_value_external(env, args[0], (void **)&handle) == napi_ok)
        close_handle(env, handle);
    return NULL;
}

void addon_io_register(napi_env env, napi_value exports)
{
    static const struct addon_function functions[] = {
        { "ioCreate", io_create_js },
        { "ioWakeHandle", io_wake_fd_js },
        { "ioAddPort", io_add_port_js },
        { "ioRemovePort", io_remove_port_js },
        { "ioAddReceiver", io_add_receiver_js },
        { "ioAddSender", io_add_sender_js },
        { "ioPoll", io_poll_js },
        { "ioReadPorts", io_read_ports_js },
        { "ioReceive", io_receive_js },
        { "ioSend", io_send_js },
        { "ioTakeGone", io_take_gone_js },
        { "ioClose", io_close_js },
    };

    addon_register(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
}
