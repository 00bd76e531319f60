/* What instrumented Python calls at each branch and comparison, without the detour through a binding.
 *
 * The counters and libFuzzer's function are somebody else's, and stay until the process ends.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef void compared(uint32_t left, uint32_t right);

static uint8_t *counters;
static size_t counter_count;
static compared *tell_compared;
static int operator_shift; /* of what the bytecode has for an operator, to the number that C knows it by */

/* begin(counters, count, tell_compared, operator_shift): the addresses, as numbers. */
static PyObject *begin(PyObject *module, PyObject *arguments) {
    unsigned long long at, function;
    Py_ssize_t count;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "KnKi", &at, &count, &function, &operator_shift))
        return NULL;
    counters = (uint8_t *)(uintptr_t)at;
    counter_count = (size_t)count;
    tell_compared = (compared *)(uintptr_t)function;
    Py_RETURN_NONE;
}

/* branch(number): it was taken once more. */
static PyObject *branch(PyObject *module, PyObject *number) {
    size_t index = PyLong_AsSize_t(number);
    (void)module;
    if (index < counter_count && counters[index] != UINT8_MAX)
        counters[index]++;
    Py_RETURN_NONE;
}

/* A number that fits into what the bytes of an input are compared with. */
static int fits(PyObject *object, uint32_t *value) {
    int overflow;
    if (!PyLong_Check(object))
        return 0;
    long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    *value = (uint32_t)number;
    return !overflow && number >= 0 && number <= UINT32_MAX;
}

/* compare(left, right, operator, number, is_constant): what the comparison comes to. */
static PyObject *compare(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    uint32_t left, right;
    (void)module;
    if (count != 5)
        return PyErr_Format(PyExc_TypeError, "5 arguments, not %zd", count);
    if (fits(arguments[0], &left) && fits(arguments[1], &right) && left != right)
        tell_compared(left, right);
    long number = PyLong_AsLong(arguments[2]);
    return PyObject_RichCompare(arguments[0], arguments[1], (int)(number >> operator_shift));
}

static PyMethodDef methods[] = {
    {"begin", begin, METH_VARARGS, NULL},
    {"branch", branch, METH_O, NULL},
    {"compare", (PyCFunction)(void (*)(void))compare, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tracer", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_tracer(void) {
    return PyModule_Create(&definition);
}
