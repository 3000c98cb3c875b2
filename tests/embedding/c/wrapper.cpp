// The C++ header, for the tests: wrapper BUNDLE ONNXRUNTIME.so
#include <cstdio>
#include <edgeseg.hpp>
#include <functional>
#include <utility>

static void tell(const std::function<void()> &call) {
    try {
        call();
        std::puts("nothing was thrown");
    } catch (const edgeseg::Error &error) {
        std::printf("%d: %s\n", error.status(), error.what());
    }
}

int main(int, char **words) {
    const std::string bundle = words[1];
    edgeseg::Options options;
    options.onnxruntime = words[2];
    edgeseg::Segmenter segmenter(bundle, options);
    const auto labels = segmenter.labels();
    std::printf("%zu labels, the first %s\n", labels.size(), labels[0].name);
    const std::vector<std::uint8_t> white(5 * 4 * 3, 255);
    const edgeseg::Frame frame{white.data(), white.size(), 5, 4, 0};
    std::vector<std::uint8_t> classes;
    segmenter.run(frame, classes);
    bool all = true;
    for (std::uint8_t class_id : classes)
        all = all && class_id == classes[0];
    std::printf("a white frame of 5 x 4: %zu pixels, %s %s\n", classes.size(), all ? "all" : "not all", labels[classes[0]].name);
    edgeseg::Segmenter moved = std::move(segmenter);
    moved.run(frame, classes.data(), classes.size());
    std::printf("moved: still %s\n", labels[classes[0]].name);
    tell([&] { segmenter.run(frame, classes); });
    tell([&] { moved.run({white.data(), white.size(), 0, 4, 0}, classes); });
    tell([&] { edgeseg::Segmenter(bundle + "/gone", options); });
}
