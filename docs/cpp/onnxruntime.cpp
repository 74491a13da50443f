// A mask from an exported segmenter with ONNX Runtime: docs/export.md.
//
//   effunet export runs/NAME --format onnx --output mask
//   segment_onnxruntime model_mask.onnx photo.ppm mask.pgm
//
// The model takes uint8 images of any size, 1 x 3 x H x W, red green blue, and normalises them by
// itself; it gives class indices, 1 x H x W. PPM and PGM keep the example free of image libraries.
#include <onnxruntime_cxx_api.h>

#include <array>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <vector>

int main(int argc, char** argv) try {
    if (argc != 4) throw std::runtime_error("usage: segment MODEL.onnx PHOTO.ppm MASK.pgm");
    std::ifstream photo(argv[2], std::ios::binary);
    std::string magic;
    size_t width = 0, height = 0, most = 0;
    photo >> magic >> width >> height >> most;
    photo.get();
    if (magic != "P6" || most != 255) throw std::runtime_error("a PPM of kind P6 and 8 bits, please");
    std::vector<uint8_t> pixels(height * width * 3), planes(pixels.size());
    photo.read(reinterpret_cast<char*>(pixels.data()), pixels.size());
    if (!photo) throw std::runtime_error("the photo is cut");
    for (size_t place = 0; place < height * width; ++place)
        for (size_t channel = 0; channel < 3; ++channel)
            planes[channel * height * width + place] = pixels[3 * place + channel];

    Ort::Env environment;
    Ort::Session session(environment, argv[1], Ort::SessionOptions{});
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::array<int64_t, 4> shape{1, 3, static_cast<int64_t>(height), static_cast<int64_t>(width)};
    auto image = Ort::Value::CreateTensor<uint8_t>(memory, planes.data(), planes.size(), shape.data(), 4);
    const char* inputs[] = {"image"};
    const char* outputs[] = {"mask"};
    auto found = session.Run(Ort::RunOptions{}, inputs, &image, 1, outputs, 1);

    const uint8_t* mask = found[0].GetTensorData<uint8_t>();
    std::ofstream out(argv[3], std::ios::binary);
    out << "P5\n" << width << ' ' << height << "\n255\n";
    out.write(reinterpret_cast<const char*>(mask), height * width);

    std::vector<size_t> counts(256);
    for (size_t place = 0; place < height * width; ++place) ++counts[mask[place]];
    for (size_t index = 0; index < counts.size(); ++index)
        if (counts[index]) std::cout << "class " << index << ": " << counts[index] << " pixels\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
