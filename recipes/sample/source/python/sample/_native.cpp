#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exception>
#include <vector>

#include "sample/sample.hpp"

namespace {

// Lets other Python threads run while the library works.
class WithoutLock {
 public:
  WithoutLock() : state_(PyEval_SaveThread()) {}
  ~WithoutLock() { PyEval_RestoreThread(state_); }
  WithoutLock(const WithoutLock&) = delete;
  WithoutLock& operator=(const WithoutLock&) = delete;

 private:
  PyThreadState* state_;
};

// The numbers of a sequence; false with a Python error set when it is none.
template <typename Number>
bool read_numbers(PyObject* sequence, std::vector<Number>* numbers) {
  PyObject* items = PySequence_Fast(sequence, "expected a sequence of numbers");
  if (items == nullptr) {
    return false;
  }
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(items);
  numbers->reserve(static_cast<std::size_t>(size));
  for (Py_ssize_t i = 0; i < size; ++i) {
    const double number = PyFloat_AsDouble(PySequence_Fast_GET_ITEM(items, i));
    if (number == -1.0 && PyErr_Occurred() != nullptr) {
      Py_DECREF(items);
      return false;
    }
    numbers->push_back(static_cast<Number>(number));
  }
  Py_DECREF(items);
  return true;
}

template <typename Number>
bool read_pair(PyObject* left, PyObject* right, std::vector<Number>* lefts,
               std::vector<Number>* rights) {
  if (!read_numbers(left, lefts) || !read_numbers(right, rights)) {
    return false;
  }
  if (lefts->size() != rights->size()) {
    PyErr_Format(PyExc_ValueError, "lengths differ: %zu and %zu", lefts->size(), rights->size());
    return false;
  }
  return true;
}

PyObject* native_dot(PyObject*, PyObject* args) {
  PyObject* left = nullptr;
  PyObject* right = nullptr;
  std::vector<double> lefts;
  std::vector<double> rights;
  if (!PyArg_ParseTuple(args, "OO:dot", &left, &right) ||
      !read_pair(left, right, &lefts, &rights)) {
    return nullptr;
  }
  double result = 0.0;
  {
    WithoutLock unlocked;
    result = sample::dot(lefts.data(), rights.data(), lefts.size());
  }
  return PyFloat_FromDouble(result);
}

PyObject* native_saxpy(PyObject*, PyObject* args) {
  float factor = 0.0f;
  PyObject* left = nullptr;
  PyObject* right = nullptr;
  std::vector<float> addends;
  std::vector<float> values;
  if (!PyArg_ParseTuple(args, "fOO:saxpy", &factor, &left, &right) ||
      !read_pair(left, right, &addends, &values)) {
    return nullptr;
  }
  bool on_device = false;
  {
    WithoutLock unlocked;
    on_device = sample::saxpy(factor, addends.data(), values.data(), values.size());
  }
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(values.size()));
  if (list == nullptr) {
    return nullptr;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    PyObject* number = PyFloat_FromDouble(static_cast<double>(values[i]));
    if (number == nullptr) {
      Py_DECREF(list);
      return nullptr;
    }
    PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), number);
  }
  return Py_BuildValue("NN", list, PyBool_FromLong(on_device ? 1 : 0));
}

PyObject* native_checksum(PyObject*, PyObject* args) {
  Py_buffer data;
  if (!PyArg_ParseTuple(args, "y*:checksum", &data)) {
    return nullptr;
  }
  const std::uint32_t sum = sample::checksum(data.buf, static_cast<std::size_t>(data.len));
  PyBuffer_Release(&data);
  return PyLong_FromUnsignedLong(sum);
}

// Runs `pack` or `unpack`; what they throw becomes ValueError.
PyObject* convert(PyObject* args, const char* format,
                  std::vector<unsigned char> (*code)(const void*, std::size_t)) {
  Py_buffer data;
  if (!PyArg_ParseTuple(args, format, &data)) {
    return nullptr;
  }
  PyObject* result = nullptr;
  try {
    const std::vector<unsigned char> bytes = code(data.buf, static_cast<std::size_t>(data.len));
    result = PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                       static_cast<Py_ssize_t>(bytes.size()));
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  }
  PyBuffer_Release(&data);
  return result;
}

PyObject* native_pack(PyObject*, PyObject* args) { return convert(args, "y*:pack", sample::pack); }

PyObject* native_unpack(PyObject*, PyObject* args) {
  return convert(args, "y*:unpack", sample::unpack);
}

PyObject* native_threads(PyObject*, PyObject*) { return PyLong_FromLong(sample::threads()); }

PyObject* native_cuda(PyObject*, PyObject*) {
  return PyUnicode_FromString(sample::cuda_available().c_str());
}

PyObject* native_core_version(PyObject*, PyObject*) {
  return PyUnicode_FromString(sample::version());
}

PyMethodDef methods[] = {
    {"checksum", native_checksum, METH_VARARGS, "The CRC-32 of a bytes-like object."},
    {"core_version", native_core_version, METH_NOARGS, "The version of libsample."},
    {"cuda", native_cuda, METH_NOARGS, "What the library can say about CUDA on this machine."},
    {"dot", native_dot, METH_VARARGS, "The dot product of two sequences of numbers."},
    {"pack", native_pack, METH_VARARGS, "Run-length coded bytes with a checksum."},
    {"saxpy", native_saxpy, METH_VARARGS,
     "values + factor * addends, and whether a GPU computed it."},
    {"threads", native_threads, METH_NOARGS, "How many threads the library uses."},
    {"unpack", native_unpack, METH_VARARGS, "What was packed; ValueError for damaged data."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "sample._native", nullptr, -1, methods, nullptr, nullptr, nullptr,
    nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__native(void) {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr &&
      PyModule_AddStringConstant(module, "__version__", SAMPLE_VERSION_TEXT) != 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
