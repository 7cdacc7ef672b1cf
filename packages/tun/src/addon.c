/*
 * The Node-API layer: arguments in, numbers out. No decision is made here.
 *
 * A failed system call becomes an Error with errno (negative, as Node has it), syscall, and detail where the kernel
 * said more; lib/errors.ts makes a readable one of it. Worker threads share this file's statics, so there are none:
 * each environment keeps what it owns in its instance data.
 */
#define _GNU_SOURCE
#include "addon-io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netlink.h"
#include "netns.h"
#include "probe.h"
#include "process.h"
#include "service.h"
#include "tap.h"
#include "udp.h"

/* ---- devices ---- */

/* deviceOpen(name, flags, netnsFd) → { fd, name } */
static napi_value device_open(napi_env env, napi_callback_info info)
{
    napi_value args[3], out;
    struct tap_spec spec = { .flags = 0 };
    char name[TEXT_MAX];
    const char *syscall = "open";
    size_t len;
    int fd;

    if (!take_args(env, info, 3, args) || !as_text(env, args[0], name, &len) || !as_i32(env, args[1], &spec.flags) ||
        !as_i32(env, args[2], &spec.netns_fd))
        return NULL;
    if (len >= IFNAMSIZ)
        return fail(env, "ioctl(TUNSETIFF)", ENAMETOOLONG, NULL);
    memcpy(spec.name, name, len);
    fd = tap_open(&spec, &syscall);
    if (fd < 0)
        return fail(env, syscall, -fd, NULL);
    napi_create_object(env, &out);
    put(env, out, "fd", number(env, fd));
    put(env, out, "name", string(env, spec.name));
    return out;
}

/* deviceDescribe(fd) → { name, flags } */
static napi_value device_describe(napi_env env, napi_callback_info info)
{
    napi_value args[1], out;
    char name[IFNAMSIZ];
    const char *syscall;
    int32_t fd;
    int bits;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &fd))
        return NULL;
    bits = tap_describe(fd, name, &syscall);
    if (bits < 0)
        return fail(env, syscall, -bits, NULL);
    napi_create_object(env, &out);
    put(env, out, "name", string(env, name));
    put(env, out, "flags", number(env, bits));
    return out;
}

/* deviceOffload(fd, bits) */
static napi_value device_offload(napi_env env, napi_callback_info info)
{
    napi_value args[2];
    const char *syscall;
    int32_t fd, bits;

    if (!take_args(env, info, 2, args) || !as_i32(env, args[0], &fd) || !as_i32(env, args[1], &bits))
        return NULL;
    return result(env, tap_offload(fd, bits, &syscall), "ioctl(TUNSETOFFLOAD)");
}

/* devicePersist(fd, on: 0 | 1) */
static napi_value device_persist(napi_env env, napi_callback_info info)
{
    napi_value args[2];
    const char *syscall;
    int32_t fd, on;

    if (!take_args(env, info, 2, args) || !as_i32(env, args[0], &fd) || !as_i32(env, args[1], &on))
        return NULL;
    return result(env, tap_persist(fd, on != 0, &syscall), "ioctl(TUNSETPERSIST)");
}

/* deviceNetns(fd) → descriptor of the device's namespace; the caller closes it */
static napi_value device_netns(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    const char *syscall;
    int32_t fd;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &fd))
        return NULL;
    return result(env, tap_netns(fd, &syscall), "ioctl(TUNGETDEVNETNS)");
}

/* ---- netlink ---- */

/* netlinkOpen(netnsFd) → fd */
static napi_value netlink_open_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    const char *syscall = "socket(AF_NETLINK)";
    int32_t netns_fd;
    int fd;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &netns_fd))
        return NULL;
    fd = netlink_open(netns_fd, &syscall);
    return result(env, fd, syscall);
}

/* netlinkRequest(fd, message) → messages of the answer */
static napi_value netlink_request_js(napi_env env, napi_callback_info info)
{
    napi_value args[2], out = NULL;
    struct netlink_reply reply;
    uint8_t *data;
    size_t len;
    int32_t fd;
    int err;

    if (!take_args(env, info, 2, args) || !as_i32(env, args[0], &fd) || !as_octets(env, args[1], &data, &len))
        return NULL;
    err = netlink_request(fd, data, len, &reply);
    if (err < 0)
        fail(env, "netlink", -err, reply.detail);
    else
        napi_create_buffer_copy(env, reply.len, reply.data, NULL, &out);
    netlink_free(&reply);
    return out;
}

/* ---- UDP ---- */

#define UDP_FLAG_REUSE_PORT 1
#define UDP_FLAG_GRO 2
#define UDP_FLAG_FORCE 4
#define UDP_FLAG_PACKET_INFO 8
#define UDP_FLAG_DONT_FRAGMENT 16

/* udpOpen(family, address, port, flags, receiveBuffer, sendBuffer) → { fd, port, receiveBuffer, sendBuffer, gro } */
static napi_value udp_open_js(napi_env env, napi_callback_info info)
{
    napi_value args[6], out;
    struct udp_spec spec = { .family = AF_INET };
    struct udp_info got = { .port = 0 };
    char address[TEXT_MAX];
    const char *syscall = "socket";
    int32_t family, port, flags;
    size_t len;
    int fd;

    if (!take_args(env, info, 6, args) || !as_i32(env, args[0], &family) || !as_text(env, args[1], address, &len) ||
        !as_i32(env, args[2], &port) || !as_i32(env, args[3], &flags) || !as_i32(env, args[4], &spec.receive_buffer) ||
        !as_i32(env, args[5], &spec.send_buffer))
        return NULL;
    spec.family = family == 6 ? AF_INET6 : AF_INET;
    spec.address = address;
    spec.port = (uint16_t)port;
    spec.reuse_port = flags & UDP_FLAG_REUSE_PORT;
    spec.gro = flags & UDP_FLAG_GRO;
    spec.force_buffers = flags & UDP_FLAG_FORCE;
    spec.packet_info = flags & UDP_FLAG_PACKET_INFO;
    spec.dont_fragment = flags & UDP_FLAG_DONT_FRAGMENT;
    fd = udp_open(&spec, &got, &syscall);
    if (fd < 0)
        return fail(env, syscall, -fd, NULL);
    napi_create_object(env, &out);
    put(env, out, "fd", number(env, fd));
    put(env, out, "port", number(env, got.port));
    put(env, out, "receiveBuffer", number(env, got.receive_buffer));
    put(env, out, "sendBuffer", number(env, got.send_buffer));
    put(env, out, "gro", boolean(env, got.gro));
    return out;
}

/* udpDrops(fd) → count */
static napi_value udp_drops_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    int32_t fd;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &fd))
        return NULL;
    return result(env, udp_drops(fd), "getsockopt(SO_MEMINFO)");
}

/* udpSend(fd, family, octets, address, port, from: "" for any) */
static napi_value udp_send_js(napi_env env, napi_callback_info info)
{
    napi_value args[6];
    char to[TEXT_MAX], from[TEXT_MAX];
    size_t len, to_len, from_len;
    int32_t fd, family, port;
    uint8_t *octets;

    if (!take_args(env, info, 6, args) || !as_i32(env, args[0], &fd) || !as_i32(env, args[1], &family) ||
        !as_octets(env, args[2], &octets, &len) || !as_text(env, args[3], to, &to_len) ||
        !as_i32(env, args[4], &port) || !as_text(env, args[5], from, &from_len))
        return NULL;
    return result(env, udp_send(fd, family == 6 ? AF_INET6 : AF_INET, octets, len, to, (uint16_t)port,
                                from_len > 0 ? from : NULL), "sendmsg");
}

/* udpSteerWireguard(fd, members) */
static napi_value udp_steer_wireguard_js(napi_env env, napi_callback_info info)
{
    napi_value args[2];
    int32_t fd, members;

    if (!take_args(env, info, 2, args) || !as_i32(env, args[0], &fd) || !as_i32(env, args[1], &members))
        return NULL;
    return result(env, udp_steer_wireguard(fd, (uint32_t)members), "setsockopt(SO_ATTACH_REUSEPORT_CBPF)");
}

/* serviceOpen(netnsFd, family, stream, address, port, device: "" for any) → fd */
static napi_value service_open_js(napi_env env, napi_callback_info info)
{
    napi_value args[6];
    char address[TEXT_MAX], device[TEXT_MAX];
    struct service_spec spec = { .family = AF_INET };
    const char *syscall = "socket";
    int32_t family, stream, port;
    size_t len, device_len;
    int fd;

    if (!take_args(env, info, 6, args) || !as_i32(env, args[0], &spec.netns_fd) || !as_i32(env, args[1], &family) ||
        !as_i32(env, args[2], &stream) || !as_text(env, args[3], address, &len) || !as_i32(env, args[4], &port) ||
        !as_text(env, args[5], device, &device_len))
        return NULL;
    spec.family = family == 6 ? AF_INET6 : AF_INET;
    spec.stream = stream != 0;
    spec.address = address;
    spec.port = (uint16_t)port;
    spec.device = device_len > 0 ? device : NULL;
    fd = service_open(&spec, &syscall);
    return result(env, fd, syscall);
}

/* ---- process ---- */

/* abstractLock(name) → fd */
static napi_value abstract_lock_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    char name[TEXT_MAX];
    size_t len;

    if (!take_args(env, info, 1, args) || !as_text(env, args[0], name, &len))
        return NULL;
    return result(env, abstract_lock(name, len), "bind");
}

/* fileLock(fd) */
static napi_value file_lock_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    int32_t fd;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &fd))
        return NULL;
    return result(env, file_lock(fd), "flock");
}

/* unixSend(path, text) */
static napi_value unix_send_js(napi_env env, napi_callback_info info)
{
    napi_value args[2];
    char path[TEXT_MAX], text[TEXT_MAX];
    size_t path_len, len;

    if (!take_args(env, info, 2, args) || !as_text(env, args[0], path, &path_len) ||
        !as_text(env, args[1], text, &len))
        return NULL;
    return result(env, unix_send(path, path_len, text, len), "sendto");
}

/* parentDeathSignal(signal) */
static napi_value parent_death_signal_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    int32_t signal;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &signal))
        return NULL;
    return result(env, parent_death_signal(signal), "prctl(PR_SET_PDEATHSIG)");
}

/* trimMemory() */
static napi_value trim_memory_js(napi_env env, napi_callback_info info)
{
    (void)info;
    return result(env, trim_memory(), "malloc_trim");
}

/* wake(eventfd): any thread */
static napi_value wake_js(napi_env env, napi_callback_info info)
{
    napi_value args[1];
    uint64_t one = 1;
    int32_t fd;

    if (!take_args(env, info, 1, args) || !as_i32(env, args[0], &fd))
        return NULL;
    /* EAGAIN: the counter is full, so the wake-up is already there. */
    if (write(fd, &one, sizeof(one)) != sizeof(one) && errno != EAGAIN)
        return fail(env, "write(eventfd)", errno, NULL);
    return NULL;
}

/* probe() → features */
static napi_value probe_js(napi_env env, napi_callback_info info)
{
    struct probe found;
    napi_value out;

    (void)info;
    probe_features(&found);
    napi_create_object(env, &out);
    put(env, out, "vnetHdr", boolean(env, found.vnet_hdr));
    put(env, out, "tapChecksum", boolean(env, found.tap_checksum));
    put(env, out, "tso", boolean(env, found.tso));
    put(env, out, "uso", boolean(env, found.uso));
    put(env, out, "coalesceTcp", boolean(env, found.coalesce_tcp));
    put(env, out, "coalesceUdp", boolean(env, found.coalesce_udp));
    put(env, out, "gso", boolean(env, found.gso));
    put(env, out, "gro", boolean(env, found.gro));
    put(env, out, "gsoMax", number(env, found.gso_max));
    put(env, out, "tunGetDevNetns", boolean(env, found.tun_get_dev_netns));
    put(env, out, "bufferForce", boolean(env, found.buffer_force));
    put(env, out, "reuseportSteering", boolean(env, found.reuseport_steering));
    return out;
}

/* ---- module ---- */

void addon_register(napi_env env, napi_value exports, const struct addon_function *functions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        napi_value fn;

        napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].fn, NULL, &fn);
        put(env, exports, functions[i].name, fn);
    }
}

/* An environment ends (a worker was terminated): its epoll sets and eventfds must not stay open. */
static void finalize_addon(napi_env env, void *data, void *hint)
{
    struct addon *addon = data;

    (void)hint;
    while (addon->handles != NULL)
        close_handle(env, addon->handles);
    free(addon);
}

NAPI_MODULE_INIT()
{
    static const struct addon_function functions[] = {
        { "deviceOpen", device_open },
        { "deviceDescribe", device_describe },
        { "deviceOffload", device_offload },
        { "devicePersist", device_persist },
        { "deviceNetns", device_netns },
        { "netlinkOpen", netlink_open_js },
        { "netlinkRequest", netlink_request_js },
        { "udpOpen", udp_open_js },
        { "udpDrops", udp_drops_js },
        { "udpSend", udp_send_js },
        { "udpSteerWireguard", udp_steer_wireguard_js },
        { "serviceOpen", service_open_js },
        { "abstractLock", abstract_lock_js },
        { "fileLock", file_lock_js },
        { "unixSend", unix_send_js },
        { "parentDeathSignal", parent_death_signal_js },
        { "trimMemory", trim_memory_js },
        { "wake", wake_js },
        { "probe", probe_js },
    };
    struct addon *addon = calloc(1, sizeof(*addon));

    if (addon == NULL) {
        napi_throw_error(env, "ENOMEM", "weft addon: out of memory");
        return NULL;
    }
    napi_set_instance_data(env, addon, finalize_addon, NULL);
    addon_register(env, exports, functions, sizeof(functions) / sizeof(functions[0]));
    addon_io_register(env, exports);
    return exports;
}
