// Predict with ONNX Runtime in C++:
//
//     g++ -std=c++17 -O2 predict.cpp -I $ORT/include -L $ORT/lib -Wl,-rpath,$ORT/lib -lonnxruntime -o predict
//     python predict.py --decode FILE input.bin     (or decode in your own program, see below)
//     ./predict model.onnx labels.json input.bin
//
// $ORT is an unpacked release of https://github.com/microsoft/onnxruntime/releases (onnxruntime-linux-x64-VERSION.tgz). Debian 13
// has the same as libonnxruntime-dev: apt install it, then -I /usr/include/onnxruntime -lonnxruntime is enough. Python's
// onnxruntime has the library but not the headers.
//
// input.bin holds what decode.py makes of a file: for pictures uint8 pixels, rows of RGB; for sounds float32 windows, mono,
// one after another. Their sizes are those of the model's input. Class names are read from labels.json.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

static std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string(path) + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

static void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// A JSON array of strings; anything else is an error.
static std::vector<std::string> strings(const std::string& json) {
  static const std::string plain = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
  std::vector<std::string> found;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '"') continue;
    std::string text;
    unsigned high = 0;
    for (++i; i < json.size() && json[i] != '"'; ++i) {
      if (json[i] != '\\') {
        text += json[i];
        continue;
      }
      const char kind = json.at(++i);
      if (kind != 'u') {
        text += meant.at(plain.find(kind));
        continue;
      }
      unsigned code = static_cast<unsigned>(std::stoul(json.substr(i + 1, 4), nullptr, 16));
      i += 4;
      if (code >= 0xD800 && code < 0xDC00) {
        high = code;
      } else {
        if (high != 0) code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00);
        high = 0;
        append_utf8(text, code);
      }
    }
    found.push_back(text);
  }
  return found;
}

// On one line: control characters would move a terminal's cursor or break the table.
static std::string plain(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are controls too, in two bytes.
    const bool late = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (late) byte = static_cast<unsigned char>(text[++i]);
    if (!late && byte >= 0x20 && byte != 0x7F) {
      out += text[i];
      continue;
    }
    char escape[5];
    std::snprintf(escape, sizeof escape, "\\x%02x", byte);
    out += escape;
  }
  return out;
}

int main(int argc, char** argv) try {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s model.onnx labels.json input.bin...\n", argv[0]);
    return 2;
  }
  const std::vector<std::string> labels = strings(read(argv[2]));
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "handful");
  const std::string model = read(argv[1]);
  Ort::Session session(env, model.data(), model.size(), Ort::SessionOptions{});
  const Ort::TypeInfo type = session.GetInputTypeInfo(0);
  const auto info = type.GetTensorTypeAndShapeInfo();
  const auto kind = info.GetElementType();
  std::vector<int64_t> shape = info.GetShape();
  size_t item = kind == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 ? 1 : sizeof(float);
  for (size_t axis = 1; axis < shape.size(); ++axis) item *= static_cast<size_t>(shape[axis]);
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
  const char *input = "input", *output = "logits";
  for (int argument = 3; argument < argc; ++argument) {
    std::string bytes = read(argv[argument]);
    if (bytes.empty() || bytes.size() % item != 0) throw std::runtime_error(std::string(argv[argument]) + ": wrong size");
    shape[0] = static_cast<int64_t>(bytes.size() / item);
    Ort::Value value = Ort::Value::CreateTensor(memory, bytes.data(), bytes.size(), shape.data(), shape.size(), kind);
    const auto results = session.Run(Ort::RunOptions{nullptr}, &input, &value, 1, &output, 1);
    const float* logits = results[0].GetTensorData<float>();
    std::vector<double> mean(labels.size(), 0.0);
    for (int64_t i = 0; i < shape[0]; ++i)
      for (size_t k = 0; k < labels.size(); ++k) mean[k] += logits[i * labels.size() + k] / static_cast<double>(shape[0]);
    const size_t best = static_cast<size_t>(std::max_element(mean.begin(), mean.end()) - mean.begin());
    double total = 0.0;
    for (const double v : mean) total += std::exp(v - mean[best]);
    std::printf("%s\t%s\t%.4f\n", plain(argv[argument]).c_str(), plain(labels[best]).c_str(), 1.0 / total);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
