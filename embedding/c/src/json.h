/* A strict reader of JSON that allocates nothing: the text is checked once as a whole, then looked up in place. */
#ifndef EDGESEG_JSON_H
#define EDGESEG_JSON_H

#include <stddef.h>

#define INTERNAL __attribute__((visibility("hidden")))

#define JSON_MOST_DEPTH 64

/* A value of a checked text: its first byte, and the end of that text. All zero: no value. */
typedef struct {
    const char *at, *end;
} Json;

/* The members of an object or the elements of an array, one after another. */
typedef struct {
    const char *at, *end;
    Json key, value; /* the key of an array's elements is no value */
} JsonWalk;

/* Checks a whole text: UTF-8, RFC 8259, no half surrogate pairs, at most JSON_MOST_DEPTH levels. Returns NULL and the
   value, or what is wrong, and its place through `where`. */
INTERNAL const char *edgeseg_json_check(const char *text, size_t bytes, Json *value, size_t *where);

/* Starts a walk through an object ('{') or an array ('['). Returns 0 where the value is of another kind. */
INTERNAL int edgeseg_json_walk(Json value, char kind, JsonWalk *walk);

/* Goes to the next member or element. Returns 0 where there is none. */
INTERNAL int edgeseg_json_next(JsonWalk *walk);

/* Finds a member of an object. Returns how many have this key, at most 2; 0 where the value is no object. */
INTERNAL int edgeseg_json_get(Json object, const char *key, Json *value);

/* Decodes a string, with a zero at its end. Returns its bytes, or -1 where it is no string, holds a zero, or is longer than
   `size` - 1 bytes. */
INTERNAL int edgeseg_json_string(Json value, char *out, size_t size);

/* Whether a value is this string. */
INTERNAL int edgeseg_json_is(Json value, const char *text);

/* Reads an integer from 0 to `most`, written without point and exponent. Returns -1 where it is none. */
INTERNAL long long edgeseg_json_integer(Json value, long long most);

/* Whether a value is null. */
INTERNAL int edgeseg_json_is_null(Json value);

#endif
