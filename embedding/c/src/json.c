#include "json.h"

#include <stdint.h>
#include <string.h>

/* Reads one code point of UTF-8, the shortest form only. Returns its bytes, or 0. */
static int utf8_length(const unsigned char *at, const unsigned char *end) {
    ptrdiff_t left = end - at;
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        return left >= 2 && (at[1] & 0xc0) == 0x80 ? 2 : 0;
    if (at[0] >= 0xe0 && at[0] <= 0xef) {
        unsigned char low = at[0] == 0xe0 ? 0xa0 : 0x80, high = at[0] == 0xed ? 0x9f : 0xbf;
        return left >= 3 && at[1] >= low && at[1] <= high && (at[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        unsigned char low = at[0] == 0xf0 ? 0x90 : 0x80, high = at[0] == 0xf4 ? 0x8f : 0xbf;
        return left >= 4 && at[1] >= low && at[1] <= high && (at[2] & 0xc0) == 0x80 && (at[3] & 0xc0) == 0x80 ? 4 : 0;
    }
    return 0;
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads four hex digits. Returns -1 where there are none. */
static long hex4(const char *at, const char *end) {
    long value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Reads what follows a backslash. Returns its end, or NULL; `code` gets the code point. */
static const char *read_escape(const char *at, const char *end, uint32_t *code) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return NULL;
    if (*at != 'u') {
        const char *found = *at ? strchr(letters, *at) : NULL;
        if (!found)
            return NULL;
        *code = (unsigned char)meanings[found - letters];
        return at + 1;
    }
    long first = hex4(at + 1, end);
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
        return NULL;
    at += 5;
    if (first >= 0xd800 && first <= 0xdbff) {
        if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
            return NULL;
        long second = hex4(at + 2, end);
        if (second < 0xdc00 || second > 0xdfff)
            return NULL;
        *code = 0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00);
        return at + 6;
    }
    *code = (uint32_t)first;
    return at;
}

typedef struct {
    const char *at, *end, *wrong;
} Check;

static int fail(Check *c, const char *wrong) {
    c->wrong = wrong;
    return 0;
}

static int check_string(Check *c) {
    for (c->at++; c->at < c->end;) {
        unsigned char byte = (unsigned char)*c->at;
        if (byte == '"') {
            c->at++;
            return 1;
        }
        if (byte == '\\') {
            uint32_t code;
            const char *next = read_escape(c->at + 1, c->end, &code);
            if (!next)
                return fail(c, "no such escape");
            c->at = next;
        } else {
            int length = byte < 0x20 ? 0 : utf8_length((const unsigned char *)c->at, (const unsigned char *)c->end);
            if (!length)
                return fail(c, byte < 0x20 ? "a control character in a string" : "no UTF-8");
            c->at += length;
        }
    }
    return fail(c, "a string without an end");
}

static int skip_digits(Check *c) {
    const char *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > start;
}

static int check_number(Check *c) {
    if (*c->at == '-')
        c->at++;
    if (c->at < c->end && *c->at == '0')
        c->at++;
    else if (!skip_digits(c))
        return fail(c, "no value");
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!skip_digits(c))
            return fail(c, "no number");
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        if (!skip_digits(c))
            return fail(c, "no number");
    }
    return 1;
}

static int check_value(Check *c, int depth);

static int check_members(Check *c, int depth) {
    char close = *c->at == '{' ? '}' : ']';
    if (depth == JSON_MOST_DEPTH)
        return fail(c, "too many levels");
    c->at = skip_space(c->at + 1, c->end);
    if (c->at < c->end && *c->at == close) {
        c->at++;
        return 1;
    }
    for (;;) {
        if (close == '}') {
            if (c->at == c->end || *c->at != '"')
                return fail(c, "no key");
            if (!check_string(c))
                return 0;
            c->at = skip_space(c->at, c->end);
            if (c->at == c->end || *c->at != ':')
                return fail(c, "no colon");
            c->at = skip_space(c->at + 1, c->end);
        }
        if (!check_value(c, depth + 1))
            return 0;
        c->at = skip_space(c->at, c->end);
        if (c->at == c->end || (*c->at != ',' && *c->at != close))
            return fail(c, "no comma");
        if (*c->at++ == close)
            return 1;
        c->at = skip_space(c->at, c->end);
    }
}

static int check_value(Check *c, int depth) {
    static const char *const words[] = {"true", "false", "null"};
    if (c->at == c->end)
        return fail(c, "no value");
    if (*c->at == '{' || *c->at == '[')
        return check_members(c, depth);
    if (*c->at == '"')
        return check_string(c);
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(c->end - c->at) >= length && !memcmp(c->at, words[i], length)) {
            c->at += length;
            return 1;
        }
    }
    return check_number(c);
}

const char *edgeseg_json_check(const char *text, size_t bytes, Json *value, size_t *where) {
    Check c = {skip_space(text, text + bytes), text + bytes, NULL};
    *value = (Json){c.at, c.end};
    if (check_value(&c, 0)) {
        c.at = skip_space(c.at, c.end);
        if (c.at != c.end)
            fail(&c, "more than one value");
    }
    *where = (size_t)(c.at - text);
    return c.wrong;
}

/* The end of a value of a checked text. */
static const char *end_of(Json value) {
    Check c = {value.at, value.end, NULL};
    check_value(&c, 0);
    return c.at;
}

int edgeseg_json_walk(Json value, char kind, JsonWalk *walk) {
    if (!value.at || *value.at != kind)
        return 0;
    *walk = (JsonWalk){skip_space(value.at + 1, value.end), value.end, {NULL, NULL}, {NULL, NULL}};
    return 1;
}

int edgeseg_json_next(JsonWalk *walk) {
    if (walk->value.at) {
        walk->at = skip_space(end_of(walk->value), walk->end);
        if (*walk->at != ',')
            return 0;
        walk->at = skip_space(walk->at + 1, walk->end);
    } else if (*walk->at == '}' || *walk->at == ']') {
        return 0;
    }
    /* Only a member has a colon after its first string; within an array that is a comma or the array's end. */
    walk->value = (Json){walk->at, walk->end};
    if (*walk->at == '"') {
        const char *after = skip_space(end_of(walk->value), walk->end);
        if (*after == ':') {
            walk->key = walk->value;
            walk->value.at = skip_space(after + 1, walk->end);
        }
    }
    return 1;
}

int edgeseg_json_get(Json object, const char *key, Json *value) {
    JsonWalk walk;
    int found = 0;
    *value = (Json){NULL, NULL};
    if (edgeseg_json_walk(object, '{', &walk))
        while (edgeseg_json_next(&walk) && found < 2)
            if (edgeseg_json_is(walk.key, key)) {
                found++;
                *value = walk.value;
            }
    return found;
}

static int put_utf8(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char marks[] = {0, 0xc0, 0xe0, 0xf0};
    for (int i = more; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(marks[more] | code);
    return more + 1;
}

int edgeseg_json_string(Json value, char *out, size_t size) {
    size_t length = 0;
    if (!value.at || *value.at != '"')
        return -1;
    for (const char *at = value.at + 1; *at != '"';) {
        char bytes[4] = {*at};
        int count = 1;
        if (*at == '\\') {
            uint32_t code = 0;
            at = read_escape(at + 1, value.end, &code);
            if (!code)
                return -1;
            count = put_utf8(code, bytes);
        } else {
            at++;
        }
        if (length + (size_t)count >= size)
            return -1;
        memcpy(out + length, bytes, (size_t)count);
        length += (size_t)count;
    }
    if (length >= size)
        return -1;
    out[length] = 0;
    return (int)length;
}

int edgeseg_json_is(Json value, const char *text) {
    char held[64];
    return edgeseg_json_string(value, held, sizeof held) >= 0 && !strcmp(held, text);
}

long long edgeseg_json_integer(Json value, long long most) {
    if (!value.at || *value.at < '0' || *value.at > '9')
        return -1;
    const char *end = end_of(value);
    long long number = 0;
    for (const char *at = value.at; at < end; at++) {
        if (*at < '0' || *at > '9' || number > (most - (*at - '0')) / 10)
            return -1;
        number = number * 10 + (*at - '0');
    }
    return number;
}

int edgeseg_json_is_null(Json value) { return value.at && *value.at == 'n'; }
