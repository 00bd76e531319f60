/* What instrumented Python has at each branch and calls at each comparison, without the detour through a binding.
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

/* A branch's counter.  `~counter` says that it was taken once more: no call, and the counter is what it comes to. */
struct counter {
    PyObject_HEAD
    size_t number;
};

static PyObject *count(PyObject *self) {
    size_t number = ((struct counter *)self)->number;
    if (number < counter_count && counters[number] != UINT8_MAX)
        counters[number]++;
    Py_INCREF(self);
    return self;
}

static PyObject *make_counter(PyTypeObject *type, PyObject *arguments, PyObject *names) {
    size_t number;
    (void)names;
    if (!PyArg_ParseTuple(arguments, "n", &number))
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self)
        ((struct counter *)self)->number = number;
    return self;
}

static PyNumberMethods numbers = {.nb_invert = count};

static PyTypeObject counter_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "tracer.Counter",
    .tp_basicsize = sizeof(struct counter),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_as_number = &numbers,
    .tp_new = make_counter,
};

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
    {"compare", (PyCFunction)(void (*)(void))compare, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tracer", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_tracer(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddType(module, &counter_type)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
