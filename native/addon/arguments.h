// Reads JavaScript arguments with errors that name the field and say what was expected.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace esplane::addon {

/// The name of a value, a field's behind that of its object. Spelled out where an error has it: an
/// SA has forty fields. Keeps references only.
class Place {
 public:
  Place(const char* name) : name_(name) {}
  Place(const std::string& path) : name_(path.c_str()) {}
  Place(const std::string& object, const char* name) : object_(&object), name_(name) {}

  std::string text() const { return object_ == nullptr ? name_ : *object_ + "." + name_; }

 private:
  const std::string* object_ = nullptr;
  const char* name_;
};

[[noreturn]] inline void throw_type(Napi::Env env, const Place& field, const char* expected) {
  throw Napi::TypeError::New(env, field.text() + ": expected " + expected);
}

/// A whole number within [least, most].
inline int64_t to_integer(const Napi::Value& v, const Place& field, int64_t least,
                          int64_t most) {
  const double d = v.IsNumber() ? v.As<Napi::Number>().DoubleValue() : NAN;
  if (std::isnan(d) || std::floor(d) != d || d < static_cast<double>(least) ||
      d > static_cast<double>(most)) {
    throw_type(v.Env(), field,
               ("a whole number from " + std::to_string(least) + " to " + std::to_string(most)).c_str());
  }
  return static_cast<int64_t>(d);
}

/// A BigInt from 0 to 2^64-1.
inline uint64_t to_unsigned64(const Napi::Value& v, const Place& field) {
  bool lossless = false;
  const uint64_t number = v.IsBigInt() ? v.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) throw_type(v.Env(), field, "a BigInt from 0 to 2^64-1");
  return number;
}

inline std::string to_text(const Napi::Value& v, const Place& field) {
  if (!v.IsString()) throw_type(v.Env(), field, "a string");
  return v.As<Napi::String>().Utf8Value();
}

inline bool to_flag(const Napi::Value& v, const Place& field) {
  if (!v.IsBoolean()) throw_type(v.Env(), field, "true or false");
  return v.As<Napi::Boolean>().Value();
}

/// The bytes themselves: valid until JavaScript runs again.
inline std::span<const uint8_t> to_bytes(const Napi::Value& v, const Place& field) {
  if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw_type(v.Env(), field, "a Uint8Array");
  const auto array = v.As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

inline Napi::Object to_object(const Napi::Value& v, const Place& field) {
  if (!v.IsObject()) throw_type(v.Env(), field, "an object");
  return v.As<Napi::Object>();
}

inline Napi::Array to_array(const Napi::Value& v, const Place& field) {
  if (!v.IsArray()) throw_type(v.Env(), field, "an array");
  return v.As<Napi::Array>();
}

/// An object whose fields are read by name; the path of names stands in every error.
class Fields {
 public:
  Fields(const Napi::Value& v, std::string path)
      : object_(to_object(v, path)), path_(std::move(path)) {}

  Napi::Value value(const char* name) const { return object_.Get(name); }
  Place place(const char* name) const { return {path_, name}; }
  std::string path(const char* name) const { return place(name).text(); }
  bool has(const char* name) const { return !value(name).IsUndefined(); }

  int64_t integer(const char* name, int64_t least, int64_t most) const {
    return to_integer(value(name), place(name), least, most);
  }
  uint64_t unsigned64(const char* name) const { return to_unsigned64(value(name), place(name)); }
  std::string text(const char* name) const { return to_text(value(name), place(name)); }
  bool flag(const char* name) const { return to_flag(value(name), place(name)); }
  bool flag_or(const char* name, bool otherwise) const { return has(name) ? flag(name) : otherwise; }
  std::span<const uint8_t> bytes(const char* name) const { return to_bytes(value(name), place(name)); }
  Fields object(const char* name) const { return Fields(value(name), path(name)); }

  /// Calls `each(value, path)` for every element of an array.
  template <typename Each>
  void elements(const char* name, Each each) const {
    const auto array = to_array(value(name), place(name));
    for (uint32_t i = 0; i < array.Length(); i++)
      each(array.Get(i), path(name) + "[" + std::to_string(i) + "]");
  }

  [[noreturn]] void refuse(const char* name, const char* expected) const {
    throw_type(object_.Env(), place(name), expected);
  }

 private:
  Napi::Object object_;
  std::string path_;
};

}  // namespace esplane::addon
