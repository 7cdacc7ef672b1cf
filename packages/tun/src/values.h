/*
 * Arguments in, results out: the few Node-API calls that every function of the addon makes.
 *
 * A function that returns false or NULL has left an exception pending; its caller returns NULL.
 */
#ifndef WEFT_VALUES_H
#define WEFT_VALUES_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_MAX 8
#define TEXT_MAX 256

/* Fetches exactly `count` ≤ ARGS_MAX arguments. */
bool take_args(napi_env env, napi_callback_info info, size_t count, napi_value *args);
bool as_i32(napi_env env, napi_value value, int32_t *out);
/* A string of at most TEXT_MAX - 2 octets; `len` may count NUL octets inside it. */
bool as_text(napi_env env, napi_value value, char text[TEXT_MAX], size_t *len);
/* A Uint8Array, also over shared memory; valid as long as the array is. */
bool as_octets(napi_env env, napi_value value, uint8_t **data, size_t *len);

napi_value number(napi_env env, int64_t value);
napi_value string(napi_env env, const char *text);
napi_value boolean(napi_env env, bool value);
void put(napi_env env, napi_value object, const char *name, napi_value value);

/* Throws what a failed call left behind. `err` is positive. */
napi_value fail(napi_env env, const char *syscall, int err, const char *detail);
/* A number for results ≥ 0, an exception for -errno. */
napi_value result(napi_env env, int64_t value, const char *syscall);

#endif
