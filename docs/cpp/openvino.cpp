// A mask from an exported segmenter with OpenVINO: docs/export.md.
//
//   effunet export runs/NAME --format openvino --output mask
//   segment_openvino model_mask.xml photo.ppm mask.pgm
//
// The model takes uint8 images of any size, 1 x 3 x H x W, red green blue, and normalises them by
// itself; it gives class indices, 1 x H x W. PPM and PGM keep the example free of image libraries.
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>
#include <stdexcept>
#include <vector>

int main(int argc, char** argv) try {
    if (argc != 4) throw std::runtime_error("usage: segment MODEL.xml PHOTO.ppm MASK.pgm");
    std::ifstream photo(argv[2], std::ios::binary);
    std::string magic;
    size_t width = 0, height = 0, most = 0;
    photo >> magic >> width >> height >> most;
    photo.get();
    if (magic != "P6" || most != 255) throw std::runtime_error("a PPM of kind P6 and 8 bits, please");
    std::vector<uint8_t> pixels(height * width * 3);
    photo.read(reinterpret_cast<char*>(pixels.data()), pixels.size());
    if (!photo) throw std::runtime_error("the photo is cut");

    ov::Core core;
    auto model = core.read_model(argv[1]);
    // Without f32 OpenVINO computes in bfloat16 where the processor can.
    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = compiled.create_infer_request();
    ov::Tensor image(ov::element::u8, {1, 3, height, width});
    for (size_t place = 0; place < height * width; ++place)
        for (size_t channel = 0; channel < 3; ++channel)
            image.data<uint8_t>()[channel * height * width + place] = pixels[3 * place + channel];
    request.set_input_tensor(image);
    request.infer();

    auto mask = request.get_output_tensor();
    std::ofstream out(argv[3], std::ios::binary);
    out << "P5\n" << width << ' ' << height << "\n255\n";
    out.write(reinterpret_cast<const char*>(mask.data<uint8_t>()), mask.get_size());

    std::vector<size_t> counts(256);
    for (size_t place = 0; place < mask.get_size(); ++place) ++counts[mask.data<uint8_t>()[place]];
    for (size_t index = 0; index < counts.size(); ++index)
        if (counts[index]) std::cout << "class " << index << ": " << counts[index] << " pixels\n";
    std::cout << model->get_rt_info<std::string>("effunet").substr(0, 60) << "...\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
