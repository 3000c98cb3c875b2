// A camera's frames through OpenCV: camera BUNDLE [SOURCE] [ONNXRUNTIME.so]. SOURCE is a camera's number or a video's file.
#include <chrono>
#include <cstdio>
#include <edgeseg.hpp>
#include <opencv2/videoio.hpp>

int main(int count, char **words) {
    if (count < 2)
        return std::fprintf(stderr, "camera: expected BUNDLE [SOURCE] [ONNXRUNTIME.so]\n"), 1;
    std::string source = count > 2 ? words[2] : "0";
    bool number = source.find_first_not_of("0123456789") == std::string::npos;
    cv::VideoCapture camera;
    if (!(number ? camera.open(std::stoi(source)) : camera.open(source)))
        return std::fprintf(stderr, "camera: %s does not open\n", source.c_str()), 1;
    try {
        edgeseg::Segmenter segmenter(words[1], {"", count > 3 ? words[3] : "", 0});
        const auto labels = segmenter.labels();
        std::vector<std::uint8_t> classes;
        cv::Mat frame; // CV_8UC3: blue, green, red
        while (camera.read(frame)) {
            const auto start = std::chrono::steady_clock::now();
            try {
                segmenter.run({frame.data, frame.step * frame.rows, frame.cols, frame.rows, frame.step}, classes);
            } catch (const edgeseg::Error &error) { // this frame has no class map that may be acted on
                std::fprintf(stderr, "camera: %s\n", error.what());
                continue;
            }
            const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
            const std::uint8_t ahead = classes[classes.size() / 2 + frame.cols / 2];
            std::printf("%6.1f ms, in the middle: %s\n", took.count(), labels[ahead].name);
        }
    } catch (const edgeseg::Error &error) {
        return std::fprintf(stderr, "camera: %s\n", error.what()), 1;
    }
}
