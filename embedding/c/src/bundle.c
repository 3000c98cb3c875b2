/* The manifest's form is runtime/bundle_schema.json. What changes a mask is checked here key by key: a manifest that asks
   for anything else is refused, for its masks could not be reproduced. What only tells of a bundle's past is not read. */

#include "bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "graph_form.h"
#include "json.h"
#include "labels.h"
#include "sha256.h"

#define SCHEMA 1
#define MOST_SIDE 16384
#define MOST_MANIFEST_BYTES (4 << 20)
#define MOST_GRAPH_BYTES (2147483647LL) /* of a protobuf */
#define MOST_FILE_NAME 256

static const char *const TOP[] = {"schema", "name", "created_with", "architecture", "weights", "labels", "input",
                                  "output", "default_variant", "variants", "verification", NULL};
static const char *const INPUT[] = {"name", "dtype", "layout", "channels", "size_hw", "resize", "mean_rgb", "std_rgb", NULL};
static const char *const OUTPUT[] = {"name", "dtype", "stride", "size_hw", NULL};
static const char *const VARIANT[] = {"file", "sha256", "bytes", "precision", "target", "opset", "calibration", "parity", NULL};

/* A manifest that is being read. */
typedef struct {
    const char *origin; /* its path, for messages */
    Error *error;
} Manifest;

/* Says which field is wrong and what was expected. */
static edgeseg_status wrong(const Manifest *m, const char *field, const char *expected) {
    return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED, "%s: %s must be %s; export the bundle again", m->origin, field,
                        expected);
}

/* Finds an object that has all of these keys, each once, and no others. */
static edgeseg_status take_object(const Manifest *m, Json value, const char *field, const char *const keys[]) {
    JsonWalk walk;
    if (!edgeseg_json_walk(value, '{', &walk))
        return wrong(m, field, "an object");
    unsigned seen = 0, expected = 0;
    for (int i = 0; keys[i]; i++)
        expected |= 1u << i;
    while (edgeseg_json_next(&walk)) {
        char key[64];
        int place = 0;
        if (edgeseg_json_string(walk.key, key, sizeof key) < 0)
            key[0] = 0;
        while (keys[place] && strcmp(keys[place], key))
            place++;
        if (!keys[place])
            return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED,
                                "%s: %s has a key that this version does not know (%s); use the edgeseg that made the bundle",
                                m->origin, field, key[0] ? key : "a long one");
        if (seen & 1u << place)
            return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED, "%s: %s has %s twice; export the bundle again", m->origin,
                                field, key);
        seen |= 1u << place;
    }
    for (int i = 0; keys[i]; i++)
        if (!(seen & 1u << i))
            return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED, "%s: %s has no %s; export the bundle again", m->origin,
                                field, keys[i]);
    return EDGESEG_OK;
}

/* A member of an object whose keys were checked. */
static Json member(Json object, const char *key) {
    Json value;
    edgeseg_json_get(object, key, &value);
    return value;
}

static edgeseg_status take_size(const Manifest *m, Json object, const char *field, int *height, int *width) {
    JsonWalk walk;
    int count = 0;
    long long side[2] = {0, 0};
    if (edgeseg_json_walk(member(object, "size_hw"), '[', &walk))
        while (count < 3 && edgeseg_json_next(&walk)) {
            if (count < 2)
                side[count] = edgeseg_json_integer(walk.value, MOST_SIDE);
            count++;
        }
    if (count != 2 || side[0] < 1 || side[1] < 1)
        return wrong(m, field, "two numbers from 1 to 16384");
    *height = (int)side[0];
    *width = (int)side[1];
    return EDGESEG_OK;
}

/* Checks members that have to be one text each: keys and texts in turn. */
static edgeseg_status take_constants(const Manifest *m, Json object, const char *name, const char *const texts[]) {
    for (int i = 0; texts[i]; i += 2)
        if (!edgeseg_json_is(member(object, texts[i]), texts[i + 1])) {
            char field[64], expected[64];
            snprintf(field, sizeof field, "%s.%s", name, texts[i]);
            snprintf(expected, sizeof expected, "\"%s\"", texts[i + 1]);
            return wrong(m, field, expected);
        }
    return EDGESEG_OK;
}

static edgeseg_status take_interface(const Manifest *m, Json root, Bundle *bundle) {
    static const char *const input_texts[] = {"name",     "frame", "dtype",  "uint8",   "layout", "NHWC",
                                              "channels", "BGR",   "resize", "stretch", NULL};
    static const char *const output_texts[] = {"name", "logits", "dtype", "float32", NULL};
    Json input = member(root, "input"), output = member(root, "output");
    edgeseg_status status = take_object(m, input, "input", INPUT);
    if (!status)
        status = take_constants(m, input, "input", input_texts);
    if (!status)
        status = take_size(m, input, "input.size_hw", &bundle->input_height, &bundle->input_width);
    if (!status)
        status = take_object(m, output, "output", OUTPUT);
    if (!status)
        status = take_constants(m, output, "output", output_texts);
    if (!status)
        status = take_size(m, output, "output.size_hw", &bundle->output_height, &bundle->output_width);
    return status;
}

static int runs_on_cpu(Json variant) {
    Json target = member(variant, "target");
    return edgeseg_json_is(target, "any") || edgeseg_json_is(target, "cpu");
}

static edgeseg_status no_variant(const Manifest *m, Json variants, const char *name) {
    char known[512] = "", key[MOST_FILE_NAME];
    size_t length = 0;
    JsonWalk walk;
    edgeseg_json_walk(variants, '{', &walk);
    while (edgeseg_json_next(&walk))
        if (edgeseg_json_string(walk.key, key, sizeof key) >= 0 && length + strlen(key) + 3 < sizeof known)
            length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", key);
    return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED, "%s: there is no variant %.100s; the bundle has %s", m->origin, name,
                        known);
}

/* Finds the variant of a name; without one, the default, or the first for a CPU. */
static edgeseg_status find_variant(const Manifest *m, Json root, const char *name, Json *variant) {
    char key[MOST_FILE_NAME], fallback[MOST_FILE_NAME];
    JsonWalk walk;
    Json first = {NULL, NULL};
    if (edgeseg_json_string(member(root, "default_variant"), fallback, sizeof fallback) < 1)
        return wrong(m, "default_variant", "a variant's name");
    if (!edgeseg_json_walk(member(root, "variants"), '{', &walk))
        return wrong(m, "variants", "an object");
    *variant = first;
    while (edgeseg_json_next(&walk)) {
        if (edgeseg_json_string(walk.key, key, sizeof key) < 0)
            continue; /* too long to be asked for */
        edgeseg_status status = take_object(m, walk.value, "a variant", VARIANT);
        if (status)
            return status;
        if (!strcmp(key, name ? name : fallback)) {
            if (variant->at)
                return wrong(m, "variants", "different names");
            *variant = walk.value;
        }
        if (!first.at && runs_on_cpu(walk.value))
            first = walk.value;
    }
    if (!variant->at)
        return no_variant(m, member(root, "variants"), name ? name : fallback);
    if (!name && !runs_on_cpu(*variant))
        *variant = first;
    if (!variant->at)
        return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED,
                            "%s: no variant is for a CPU; name one of them, or export the bundle again with fp32", m->origin);
    return EDGESEG_OK;
}

/* A folder and a name as a path, which the caller frees; NULL without memory. */
static char *join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    size_t size = length + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
    return path;
}

static edgeseg_status take_graph(const Manifest *m, const char *folder, Json variant, Bundle *bundle) {
    char name[MOST_FILE_NAME], expected[65], actual[65];
    int named = edgeseg_json_string(member(variant, "file"), name, sizeof name);
    /* A bundle is a flat folder. */
    if (named < 1 || strchr(name, '/') || strchr(name, '\\') || !strcmp(name, ".") || !strcmp(name, ".."))
        return wrong(m, "a variant's file", "the name of a file in the bundle's folder");
    if (edgeseg_json_string(member(variant, "sha256"), expected, sizeof expected) != 64 ||
        strspn(expected, "0123456789abcdef") != 64)
        return wrong(m, "a variant's sha256", "64 lower-case hex digits");
    long long bytes = edgeseg_json_integer(member(variant, "bytes"), MOST_GRAPH_BYTES);
    if (bytes < 1)
        return wrong(m, "a variant's bytes", "the file's size, at most 2147483647");
    Json precision = member(variant, "precision"), target = member(variant, "target");
    if (!edgeseg_json_is(precision, "fp32") && !edgeseg_json_is(precision, "fp16") && !edgeseg_json_is(precision, "int8"))
        return wrong(m, "a variant's precision", "fp32, fp16 or int8");
    bundle->float_between_qdq = edgeseg_json_is(target, "tensorrt");
    if (!runs_on_cpu(variant) && !bundle->float_between_qdq)
        return wrong(m, "a variant's target", "any, cpu or tensorrt");
    bundle->origin = join(folder, name);
    if (!bundle->origin)
        return edgeseg_no_memory(m->error);
    edgeseg_status status = edgeseg_read_file(bundle->origin, (size_t)bytes,
                                              "is missing, though the manifest names it; copy or export the bundle again",
                                              &bundle->graph, &bundle->graph_bytes, m->error);
    if (status)
        return status;
    edgeseg_sha256(bundle->graph, bundle->graph_bytes, actual);
    if (strcmp(actual, expected))
        return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED,
                            "%s was altered: its SHA-256 is %.12s…, the manifest says %.12s…;"
                            " copy or export the bundle again",
                            bundle->origin, actual, expected);
    return edgeseg_check_graph(bundle->graph, bundle->graph_bytes, bundle->origin, m->error);
}

static edgeseg_status take_all(const Manifest *m, Json root, const char *folder, const char *variant, Bundle *bundle) {
    Json chosen, schema;
    /* First of all, because a newer schema may have other keys. */
    if (edgeseg_json_get(root, "schema", &schema) == 1 && edgeseg_json_integer(schema, 1 << 30) > SCHEMA)
        return edgeseg_fail(m->error, EDGESEG_BUNDLE_REFUSED,
                            "%s is of schema %lld, newer than schema %d that this library reads; build it from a newer"
                            " edgeseg, or export the bundle again with this one",
                            m->origin, edgeseg_json_integer(schema, 1 << 30), SCHEMA);
    edgeseg_status status = take_object(m, root, "the manifest", TOP);
    if (!status && edgeseg_json_integer(member(root, "schema"), SCHEMA) != SCHEMA)
        status = wrong(m, "schema", "1");
    if (!status)
        status = edgeseg_read_labels(member(root, "labels"), m->origin, bundle, m->error);
    if (!status)
        status = take_interface(m, root, bundle);
    if (!status)
        status = find_variant(m, root, variant, &chosen);
    if (!status)
        status = take_graph(m, folder, chosen, bundle);
    return status;
}

edgeseg_status edgeseg_bundle_read(const char *folder, const char *variant, Bundle *bundle, Error *error) {
    char *path = join(folder, "bundle.json");
    if (!path)
        return edgeseg_no_memory(error);
    uint8_t *text;
    size_t bytes, where;
    Json root;
    edgeseg_status status = edgeseg_read_file(path, MOST_MANIFEST_BYTES,
                                              "is missing, so this is no bundle; `edgeseg export` makes one", &text, &bytes,
                                              error);
    if (!status) {
        Manifest manifest = {path, error};
        const char *problem = edgeseg_json_check((const char *)text, bytes, &root, &where);
        status = problem ? edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED, "%s is not JSON (%s at byte %zu); export the bundle again",
                                        path, problem, where)
                         : take_all(&manifest, root, folder, variant, bundle);
        free(text);
    }
    free(path);
    return status;
}

void edgeseg_bundle_drop_graph(Bundle *bundle) {
    free(bundle->graph);
    bundle->graph = NULL;
    bundle->graph_bytes = 0;
}

void edgeseg_bundle_free(Bundle *bundle) {
    edgeseg_bundle_drop_graph(bundle);
    free(bundle->names);
    free(bundle->origin);
    *bundle = (Bundle){0};
}
