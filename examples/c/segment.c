/* The class map of an image: segment BUNDLE IMAGE.ppm CLASSES.pgm [ONNXRUNTIME.so], and each class's share of it. */
#include <edgeseg.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *why) {
    fprintf(stderr, "segment: %s\n", why);
    return 1;
}

int main(int count, char **words) {
    int width, height;
    if (count < 4)
        return fail("expected BUNDLE IMAGE.ppm CLASSES.pgm");
    FILE *file = fopen(words[2], "rb");
    if (!file || fscanf(file, "P6 %d %d 255", &width, &height) != 2 || fgetc(file) == EOF || width < 1 || height < 1 ||
        width > EDGESEG_MOST_SIDE || height > EDGESEG_MOST_SIDE)
        return fail("the image is no binary PPM of 8 bits a channel");
    size_t pixels = (size_t)width * (size_t)height;
    uint8_t *bgr = malloc(3 * pixels), *classes = malloc(pixels);
    if (!bgr || !classes || fread(bgr, 3, pixels, file) != pixels)
        return fail("the image is cut off, or too large for the memory");
    fclose(file);
    for (size_t i = 0; i < pixels; i++) { /* a PPM has red first */
        uint8_t red = bgr[3 * i];
        bgr[3 * i] = bgr[3 * i + 2];
        bgr[3 * i + 2] = red;
    }
    edgeseg_options options = EDGESEG_OPTIONS_INIT;
    options.onnxruntime = count > 4 ? words[4] : NULL;
    edgeseg_handle *network;
    edgeseg_frame frame = {bgr, 3 * pixels, width, height, 0};
    if (edgeseg_open(words[1], &options, &network) || edgeseg_run(network, &frame, classes, pixels))
        return fail(edgeseg_error(network)); /* a camera's loop would go on with its next frame */
    size_t share[256] = {0};
    for (size_t i = 0; i < pixels; i++)
        share[classes[i]]++;
    const edgeseg_label *labels;
    int known = edgeseg_labels(network, &labels);
    for (int i = 0; i < known; i++)
        printf("%5.1f %% %s\n", 100.0 * (double)share[i] / (double)pixels, labels[i].name);
    edgeseg_close(network);
    file = fopen(words[3], "wb");
    if (!file || fprintf(file, "P5 %d %d 255\n", width, height) < 0 || fwrite(classes, 1, pixels, file) != pixels ||
        fclose(file))
        return fail("the class map cannot be written");
    free(bgr);
    free(classes);
    return 0;
}
