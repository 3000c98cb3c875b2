#define _GNU_SOURCE /* sched_getaffinity */

#include "network.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <onnxruntime_c_api.h>

#define API 17 /* what ONNX Runtime 1.17 has, the oldest that edgeseg runs on */

#if ORT_API_VERSION < API
#error "these headers of ONNX Runtime are older than 1.17; install newer ones"
#endif

/* It would quantize the convolutions that an INT8 variant leaves in float, with one scale for all channels. */
#define UNWANTED "WeightBiasQuantization"

/* Takes the first line of ONNX Runtime's reason, frees its status, and makes a message of it. */
static edgeseg_status failed(const OrtApi *api, OrtStatus *status, const char *what, const char *origin, Error *error) {
    const char *reason = api->GetErrorMessage(status);
    int length = (int)strcspn(reason, "\n");
    edgeseg_fail(error, EDGESEG_BACKEND_FAILED, "ONNX Runtime %s%s: %.*s", what, origin, length < 600 ? length : 600, reason);
    api->ReleaseStatus(status);
    return EDGESEG_BACKEND_FAILED;
}

static edgeseg_status load(const char *library, const OrtApi **api, Error *error) {
    const char *const usual[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
    void *handle = NULL;
    const char *reason = "";
    /* It stays loaded: its threads and its state may outlive a session. */
    int mode = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    for (int i = 0; i < (library ? 1 : 2) && !handle; i++) {
        handle = dlopen(library ? library : usual[i], mode);
        if (!handle)
            reason = dlerror();
    }
    if (!handle)
        return edgeseg_fail(error, EDGESEG_BACKEND_FAILED,
                            "ONNX Runtime's library does not load (%s); install it, or name its file in the options", reason);
    const OrtApiBase *(*get_base)(void) = NULL;
    void *symbol = dlsym(handle, "OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof get_base); /* C has no cast from an object to a function */
    const char *name = library ? library : "libonnxruntime";
    if (!symbol) {
        dlclose(handle);
        return edgeseg_fail(error, EDGESEG_BACKEND_FAILED, "%s is not ONNX Runtime: it has no OrtGetApiBase; name another file",
                            name);
    }
    const OrtApiBase *base = get_base();
    *api = base->GetApi(API);
    if (!*api)
        edgeseg_fail(error, EDGESEG_BACKEND_FAILED, "%s is ONNX Runtime %s, expected 1.%d or newer; install that", name,
                     base->GetVersionString(), API);
    dlclose(handle);
    return *api ? EDGESEG_OK : EDGESEG_BACKEND_FAILED;
}

/* The threads to ask for: 0, which is ONNX Runtime's own choice, where the process may use every core. */
static int threads_for(int wanted) {
    cpu_set_t usable;
    if (wanted || sched_getaffinity(0, sizeof usable, &usable))
        return wanted;
    int count = CPU_COUNT(&usable);
    return count < sysconf(_SC_NPROCESSORS_ONLN) ? count : 0;
}

static OrtStatus *set_options(const OrtApi *api, OrtSessionOptions *options, const Bundle *bundle, int threads) {
    /* Without the first of them the bytes could be read as ONNX Runtime's own format, which nothing has checked. Threads
       that spin between operators keep the cores from all else. */
    const char *const entries[][2] = {
        {"session.load_model_format", "ONNX"},
        {"session.intra_op.allow_spinning", "0"},
        {"optimization.disable_specified_optimizers", UNWANTED},
        {"session.disable_quant_qdq", "1"},
    };
    OrtStatus *status = api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_FATAL);
    if (!status && threads)
        status = api->SetIntraOpNumThreads(options, threads);
    for (int i = 0; i < 3 + bundle->float_between_qdq && !status; i++)
        status = api->AddSessionConfigEntry(options, entries[i][0], entries[i][1]);
    return status;
}

/* Checks that a graph has one input or output of this name. Returns whether it has. */
static int only(const Network *n, int output, const char *name) {
    OrtAllocator *allocator;
    size_t count = 0;
    char *found = NULL;
    OrtStatus *status = output ? n->api->SessionGetOutputCount(n->session, &count) : n->api->SessionGetInputCount(n->session, &count);
    if (!status)
        status = n->api->GetAllocatorWithDefaultOptions(&allocator);
    if (!status && count == 1)
        status = output ? n->api->SessionGetOutputName(n->session, 0, allocator, &found)
                        : n->api->SessionGetInputName(n->session, 0, allocator, &found);
    int same = found && !strcmp(found, name);
    if (found) {
        OrtStatus *freed = n->api->AllocatorFree(allocator, found);
        if (freed)
            n->api->ReleaseStatus(freed);
    }
    if (status)
        n->api->ReleaseStatus(status);
    return same;
}

static edgeseg_status open_session(Network *n, const Bundle *bundle, int threads, Error *error) {
    OrtSessionOptions *options = NULL;
    OrtStatus *status = n->api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "edgeseg", &n->env);
    if (!status)
        status = n->api->CreateSessionOptions(&options);
    if (!status)
        status = set_options(n->api, options, bundle, threads_for(threads));
    if (!status)
        status = n->api->CreateSessionFromArray(n->env, bundle->graph, bundle->graph_bytes, options, &n->session);
    if (options)
        n->api->ReleaseSessionOptions(options);
    if (status)
        return failed(n->api, status, "cannot load ", bundle->origin, error);
    if (!only(n, 0, "frame") || !only(n, 1, "logits"))
        return edgeseg_fail(error, EDGESEG_BACKEND_FAILED, "%s has other inputs and outputs than frame and logits;"
                            " export the bundle again", bundle->origin);
    return EDGESEG_OK;
}

static edgeseg_status make_input(Network *n, const Bundle *bundle, Error *error) {
    int64_t shape[] = {1, bundle->input_height, bundle->input_width, 3};
    size_t bytes = (size_t)bundle->input_height * (size_t)bundle->input_width * 3;
    n->frame = calloc(bytes, 1);
    if (!n->frame)
        return edgeseg_no_memory(error);
    OrtStatus *status = n->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &n->memory);
    if (!status)
        status = n->api->CreateTensorWithDataAsOrtValue(n->memory, n->frame, bytes, shape, 4,
                                                        ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &n->input);
    return status ? failed(n->api, status, "cannot make the input of ", bundle->origin, error) : EDGESEG_OK;
}

edgeseg_status edgeseg_network_open(const Bundle *bundle, const char *library, int threads, Network *network, Error *error) {
    network->classes = bundle->label_count;
    network->height = bundle->output_height;
    network->width = bundle->output_width;
    edgeseg_status status = load(library, &network->api, error);
    if (!status)
        status = open_session(network, bundle, threads, error);
    if (!status)
        status = make_input(network, bundle, error);
    return status;
}

/* Whether a value is float32 [1, classes, height, width]. */
static OrtStatus *has_shape(const Network *n, const OrtValue *value, int *fits) {
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t sides = 0;
    int64_t shape[4] = {0};
    *fits = 0;
    OrtStatus *status = n->api->GetTensorTypeAndShape(value, &info);
    if (!status)
        status = n->api->GetTensorElementType(info, &type);
    if (!status)
        status = n->api->GetDimensionsCount(info, &sides);
    if (!status && sides == 4)
        status = n->api->GetDimensions(info, shape, 4);
    if (info)
        n->api->ReleaseTensorTypeAndShapeInfo(info);
    *fits = !status && sides == 4 && type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && shape[0] == 1 &&
            shape[1] == n->classes && shape[2] == n->height && shape[3] == n->width;
    return status;
}

edgeseg_status edgeseg_network_run(Network *n, const float **logits, Error *error) {
    const char *const input_names[] = {"frame"}, *const output_names[] = {"logits"};
    const OrtValue *const inputs[] = {n->input};
    int fits = 0;
    void *data = NULL;
    if (n->output) {
        n->api->ReleaseValue(n->output);
        n->output = NULL;
    }
    OrtStatus *status = n->api->Run(n->session, NULL, input_names, inputs, 1, output_names, 1, &n->output);
    if (!status)
        status = has_shape(n, n->output, &fits);
    if (!status && fits)
        status = n->api->GetTensorMutableData(n->output, &data);
    if (status)
        return failed(n->api, status, "failed on a frame", "", error);
    if (!fits)
        return edgeseg_fail(error, EDGESEG_BACKEND_FAILED,
                            "the graph gave other logits than float32 [1, %d, %d, %d], which the bundle promises;"
                            " export the bundle again",
                            n->classes, n->height, n->width);
    *logits = data;
    return EDGESEG_OK;
}

void edgeseg_network_close(Network *n, int own) {
    if (n->api && own) {
        if (n->output)
            n->api->ReleaseValue(n->output);
        if (n->input)
            n->api->ReleaseValue(n->input);
        if (n->memory)
            n->api->ReleaseMemoryInfo(n->memory);
        if (n->session)
            n->api->ReleaseSession(n->session);
        if (n->env)
            n->api->ReleaseEnv(n->env);
    }
    free(n->frame);
    *n = (Network){0};
}
