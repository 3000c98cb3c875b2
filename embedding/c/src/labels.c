/* The rules are those of core/labels.py: a name can be drawn, logged and written to labelmap.txt. */

#define _GNU_SOURCE /* strcasecmp */

#include "labels.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_NAME 100                  /* characters */
#define NAME_BYTES (4 * MOST_NAME + 1) /* of UTF-8 and the zero */

/* Decodes one character of valid UTF-8. */
static const char *next_character(const char *at, uint32_t *code) {
    unsigned char byte = (unsigned char)*at++;
    int more = byte < 0x80 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    *code = more ? byte & (0x3fu >> more) : byte;
    for (; more; more--)
        *code = *code << 6 | ((unsigned char)*at++ & 0x3f);
    return at;
}

/* Whether a character leaves no ink or changes the order of those around it. Unicode has more of them than these. */
static int unprintable(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad || c == 0x61c || c == 0x1680 || c == 0x180e ||
           (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 ||
           (c >= 0xe000 && c <= 0xf8ff) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe ||
           c >= 0xe0000;
}

static const char *wrong_name(const char *name) {
    int characters = 0;
    for (const char *at = name; *at; characters++) {
        uint32_t code;
        at = next_character(at, &code);
        if (unprintable(code))
            return "holds a character that cannot be printed";
    }
    size_t length = strlen(name);
    if (!characters || characters > MOST_NAME)
        return "is not 1 to 100 characters long";
    if (strchr(name, ':') || name[0] == '#' || name[0] == ' ' || name[length - 1] == ' ')
        return "has a colon, a # at its start, or space around it";
    if (!strcasecmp(name, "void") || !strcasecmp(name, "ignore"))
        return "stands for pixels without a label";
    return NULL;
}

/* Reads one label's name, in `bundle->names`, and colour. Returns what is wrong, or NULL. */
static const char *read_label(Json item, char *name, edgeseg_label *label) {
    Json member, rgb;
    if (edgeseg_json_get(item, "name", &member) != 1 || edgeseg_json_string(member, name, NAME_BYTES) < 0)
        return "has no name of 1 to 100 characters";
    label->name = name;
    JsonWalk walk;
    int channels = 0;
    if (edgeseg_json_get(item, "rgb", &rgb) != 1 || !edgeseg_json_walk(rgb, '[', &walk))
        return "has no colour";
    for (; edgeseg_json_next(&walk); channels++) {
        long long value = channels < 3 ? edgeseg_json_integer(walk.value, 255) : -1;
        if (value < 0)
            return "has a colour that is not three numbers from 0 to 255";
        label->rgb[channels] = (uint8_t)value;
    }
    if (channels != 3)
        return "has a colour that is not three numbers from 0 to 255";
    int members = 0;
    for (edgeseg_json_walk(item, '{', &walk); edgeseg_json_next(&walk);)
        members++;
    return members == 2 ? wrong_name(name) : "has a key that this version does not know";
}

edgeseg_status edgeseg_read_labels(Json labels, const char *origin, Bundle *bundle, Error *error) {
    JsonWalk walk;
    int count = 0;
    if (edgeseg_json_walk(labels, '[', &walk))
        while (count <= MOST_LABELS && edgeseg_json_next(&walk))
            count++;
    if (count < 1 || count > MOST_LABELS)
        return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED, "%s: labels is no list of 1 to %d classes; export the bundle again",
                            origin, MOST_LABELS);
    bundle->names = calloc((size_t)count, NAME_BYTES);
    if (!bundle->names)
        return edgeseg_no_memory(error);
    edgeseg_json_walk(labels, '[', &walk);
    for (int i = 0; edgeseg_json_next(&walk); i++) {
        edgeseg_label *label = &bundle->labels[i];
        const char *wrong = read_label(walk.value, bundle->names + (size_t)i * NAME_BYTES, label);
        for (int j = 0; j < i && !wrong; j++)
            if (!strcmp(bundle->labels[j].name, label->name) || !memcmp(bundle->labels[j].rgb, label->rgb, 3))
                wrong = "has the name or the colour of another one";
        if (wrong)
            return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED, "%s: label %d %s; export the bundle again", origin, i, wrong);
    }
    bundle->label_count = count;
    return EDGESEG_OK;
}
