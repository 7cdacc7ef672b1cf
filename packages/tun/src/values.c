#include "values.h"

#include <string.h>

bool take_args(napi_env env, napi_callback_info info, size_t count, napi_value *args)
{
    size_t given = ARGS_MAX;
    napi_value all[ARGS_MAX];

    if (napi_get_cb_info(env, info, &given, all, NULL, NULL) != napi_ok || given < count) {
        napi_throw_type_error(env, NULL, "weft addon: too few arguments");
        return false;
    }
    memcpy(args, all, count * sizeof(*args));
    return true;
}

bool as_i32(napi_env env, napi_value value, int32_t *out)
{
    if (napi_get_value_int32(env, value, out) == napi_ok)
        return true;
    napi_throw_type_error(env, NULL, "weft addon: expected a number");
    return false;
}

bool as_text(napi_env env, napi_value value, char text[TEXT_MAX], size_t *len)
{
    if (napi_get_value_string_utf8(env, value, text, TEXT_MAX, len) == napi_ok && *len < TEXT_MAX - 1)
        return true;
    napi_throw_type_error(env, NULL, "weft addon: expected a string of less than 255 octets");
    return false;
}

bool as_octets(napi_env env, napi_value value, uint8_t **data, size_t *len)
{
    napi_typedarray_type type;

    if (napi_get_typedarray_info(env, value, &type, len, (void **)data, NULL, NULL) == napi_ok &&
        type == napi_uint8_array)
        return true;
    napi_throw_type_error(env, NULL, "weft addon: expected a Uint8Array");
    return false;
}

napi_value number(napi_env env, int64_t value)
{
    napi_value out = NULL;

    napi_create_int64(env, value, &out);
    return out;
}

void put(napi_env env, napi_value object, const char *name, napi_value value)
{
    napi_set_named_property(env, object, name, value);
}

napi_value string(napi_env env, const char *text)
{
    napi_value out = NULL;

    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &out);
    return out;
}

napi_value boolean(napi_env env, bool value)
{
    napi_value out = NULL;

    napi_get_boolean(env, value, &out);
    return out;
}

napi_value fail(napi_env env, const char *syscall, int err, const char *detail)
{
    napi_value error;

    napi_create_error(env, NULL, string(env, syscall), &error);
    put(env, error, "errno", number(env, -err));
    put(env, error, "syscall", string(env, syscall));
    if (detail != NULL && detail[0] != 0)
        put(env, error, "detail", string(env, detail));
    napi_throw(env, error);
    return NULL;
}

napi_value result(napi_env env, int64_t value, const char *syscall)
{
    return value < 0 ? fail(env, syscall, (int)-value, NULL) : number(env, value);
}
