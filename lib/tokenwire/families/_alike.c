/* Events out of JSON texts that differ from a known one only in a few values. See alike.py.

   Theory of operation. A template is a JSON text with holes, where strings and integers stand that
   differ from event to event:

       {"id":"c1",...,"delta":{"content":"   "},"finish_reason":null}],...,"obfuscation":"   "}
       `------------ literal ------------'hole`------------ literal ----------------------'hole`'

   What has the same literals, byte for byte, and in each hole a JSON value of the same kind, is by the
   grammar of JSON the same text with other values. So it is read by comparing memory, and made by copying:
   each object that the known text became is copied, from the innermost to the outermost, and what differs
   is set. These are the steps, in order; each sets what the newest copy is asked for.

       copy delta, set content to hole 0; copy choice, set delta to the last copy; ...

   What does not fit is not read, nor is anything behind it: that is the decoder's.

   This is the limited API of CPython 3.11, so that one build does for all versions since. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdbool.h>
#include <string.h>

/* What a step does with its object. A source that is not negative is the number of a hole. (As in alike.py.) */
enum { COPY = -1, PAYLOAD = -2, LAST_COPY = -3, LIST_OF_LAST_COPY = -4, MADE = -5 };

enum { MOST_HOLES = 8 };

/* Eighteen digits fit in 64 bits, whatever they are. */
enum { MOST_DIGITS = 18 };

typedef struct {
    PyObject *object;  /* what makes a copy, by a call without arguments; else the descriptor of a field */
    descrsetfunc set;  /* the descriptor's own, NULL for a copy */
    Py_ssize_t source;
    PyObject *maker;   /* for MADE: makes the value, by a call without arguments; else NULL */
} Step;

typedef struct {
    PyObject_HEAD
    PyObject *literals;  /* tuple of bytes: one more than there are holes */
    PyObject *unescape;  /* reads a JSON string that has escapes in it: bytes to str */
    Py_ssize_t holes;
    Py_ssize_t text;     /* the number of the hole that is the event's text */
    Py_ssize_t steps;
    Step *step;
    char kind[MOST_HOLES];  /* 's': the inside of a JSON string. 'i': a natural number */
} Template;

/* -- Reading ---------------------------------------------------------------------- */

/* The value of the string whose inside begins here, or NULL; no exception is left set. at: moved to its end. */
static PyObject *
string_at(const Template *self, const char **at, const char *end)
{
    const char *begin = *at, *here = begin;
    bool escaped = false;
    while (here < end && *here != '"') {
        /* RFC 8259, 7: "the characters that MUST be escaped: quotation mark, reverse solidus, and the control
           characters" */
        if ((unsigned char)*here < 0x20) {
            return NULL;
        }
        if (*here == '\\') {
            escaped = true;
            here++;
        }
        here++;
    }
    if (here >= end) {
        return NULL;
    }
    PyObject *value;
    if (escaped) {
        /* With its quotation marks: the literals around it have them, or its end would not have been found. */
        PyObject *json = PyBytes_FromStringAndSize(begin - 1, here - begin + 2);
        value = json == NULL ? NULL : PyObject_CallFunctionObjArgs(self->unescape, json, NULL);
        Py_XDECREF(json);
    }
    else {
        value = PyUnicode_DecodeUTF8(begin, here - begin, NULL);
    }
    if (value == NULL) {
        PyErr_Clear(); /* the decoder will say it again, in its words */
    }
    *at = here;
    return value;
}

/* The natural number that begins here, or NULL; no exception is left set. at: moved to its end. */
static PyObject *
number_at(const char **at, const char *end)
{
    const char *begin = *at, *here = begin;
    long long number = 0;
    while (here < end && *here >= '0' && *here <= '9' && here - begin < MOST_DIGITS) {
        number = number * 10 + (*here - '0');
        here++;
    }
    /* RFC 8259, 6: "Leading zeros are not allowed." */
    if (here == begin || (*begin == '0' && here - begin > 1)) {
        return NULL;
    }
    PyObject *value = PyLong_FromLongLong(number);
    if (value == NULL) {
        PyErr_Clear();
    }
    *at = here;
    return value;
}

static void
drop(PyObject **values, Py_ssize_t count)
{
    while (count > 0) {
        Py_DECREF(values[--count]);
    }
}

/* Whether this text fits; its values are then new references. */
static bool
read_values(const Template *self, const char *at, const char *end, PyObject **values)
{
    Py_ssize_t hole = 0;
    for (;;) {
        PyObject *literal = PyTuple_GetItem(self->literals, hole);
        Py_ssize_t length = PyBytes_Size(literal);
        if (end - at < length || memcmp(at, PyBytes_AsString(literal), (size_t)length) != 0) {
            break;
        }
        at += length;
        if (hole == self->holes) {
            if (at == end) {
                return true;
            }
            break;
        }
        values[hole] = self->kind[hole] == 's' ? string_at(self, &at, end) : number_at(&at, end);
        if (values[hole] == NULL) {
            break;
        }
        hole++;
    }
    drop(values, hole);
    return false;
}

/* -- Making ----------------------------------------------------------------------- */

/* What a step sets, as a new reference, or NULL with an exception set. last: a copy, whose reference is taken. */
static PyObject *
value_of(const Step *step, PyObject *payload, PyObject **values, PyObject **last)
{
    PyObject *found = NULL;
    switch (step->source) {
    case PAYLOAD:
        Py_INCREF(payload);
        return payload;
    case LAST_COPY:
        found = *last;
        *last = NULL;
        return found;
    case LIST_OF_LAST_COPY:
        found = PyList_New(1);
        if (found != NULL) {
            PyList_SetItem(found, 0, *last);
            *last = NULL;
        }
        return found;
    case MADE:
        return PyObject_CallNoArgs(step->maker);
    default:
        Py_INCREF(values[step->source]);
        return values[step->source];
    }
}

/* The event that these values make, or NULL with an exception set. */
static PyObject *
make(const Template *self, PyObject *payload, PyObject **values)
{
    PyObject *copy = NULL, *last = NULL; /* the newest, and the one before it, until it is set */
    for (const Step *step = self->step; step < self->step + self->steps; step++) {
        if (step->source == COPY) {
            last = copy;
            copy = PyObject_CallNoArgs(step->object);
            if (copy == NULL) {
                goto failed;
            }
        }
        else {
            PyObject *value = value_of(step, payload, values, &last);
            if (value == NULL) {
                goto failed;
            }
            int error = step->set(step->object, copy, value);
            Py_DECREF(value);
            if (error) {
                goto failed;
            }
        }
    }
    return copy;
failed:
    Py_XDECREF(copy);
    Py_XDECREF(last);
    return NULL;
}

PyDoc_STRVAR(read_doc,
"read(payloads, /)\n--\n\n"
"The events that these payloads (a list of bytes) are, up to the first that does not fit, and the text of each.");

static PyObject *
Template_read(Template *self, PyObject *payloads)
{
    if (!PyList_Check(payloads)) {
        PyErr_SetString(PyExc_TypeError, "read() takes a list of bytes");
        return NULL;
    }
    PyObject *values[MOST_HOLES];
    PyObject *found = NULL, *events = PyList_New(0), *texts = PyList_New(0);
    if (events == NULL || texts == NULL) {
        goto done;
    }
    for (Py_ssize_t n = 0; n < PyList_Size(payloads); n++) {
        PyObject *payload = PyList_GetItem(payloads, n);
        char *at;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(payload, &at, &length) < 0) {
            goto done;
        }
        Py_INCREF(payload); /* making an object may run the garbage collection, and that anything */
        if (!read_values(self, at, at + length, values)) {
            Py_DECREF(payload);
            break;
        }
        PyObject *event = make(self, payload, values);
        bool failed = event == NULL || PyList_Append(events, event) < 0 || PyList_Append(texts, values[self->text]) < 0;
        Py_XDECREF(event);
        drop(values, self->holes);
        Py_DECREF(payload);
        if (failed) {
            goto done;
        }
    }
    found = PyTuple_Pack(2, events, texts);
done:
    Py_XDECREF(events);
    Py_XDECREF(texts);
    return found;
}

/* -- Its life --------------------------------------------------------------------- */

/* One step, out of (object, source). copies: how many copies are there that no step has set yet. */
static int
learn_step(Template *self, Step *step, PyObject *pair, int *copies)
{
    PyObject *object, *source;
    if (!PyTuple_Check(pair)) {
        PyErr_SetString(PyExc_TypeError, "a step is a pair");
        return -1;
    }
    if (!PyArg_ParseTuple(pair, "OO;a step is an object and a source", &object, &source)) {
        return -1;
    }
    bool made = PyCallable_Check(source);
    step->source = made ? MADE : PyLong_AsSsize_t(source);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (step->source >= self->holes || (step->source <= MADE && !made) || (step->source != COPY && *copies < 1)) {
        PyErr_Format(PyExc_ValueError, "no step has the source %R here", source);
        return -1;
    }
    if (step->source == COPY) {
        *copies += 1;
    }
    else {
        step->set = (descrsetfunc)PyType_GetSlot(Py_TYPE(object), Py_tp_descr_set);
        if (step->set == NULL) {
            PyErr_Format(PyExc_TypeError, "%R is no descriptor of a field", object);
            return -1;
        }
        if (step->source == LAST_COPY || step->source == LIST_OF_LAST_COPY) {
            *copies -= 1;
        }
    }
    if (*copies < 1 || *copies > 2) {
        PyErr_SetString(PyExc_ValueError, "each copy but the last is set once, in the next");
        return -1;
    }
    Py_INCREF(object);
    step->object = object;
    if (made) {
        Py_INCREF(source);
        step->maker = source;
    }
    return 0;
}

static int
learn_steps(Template *self, PyObject *steps)
{
    Py_ssize_t count = PyTuple_Size(steps);
    self->step = PyMem_Calloc((size_t)count + 1, sizeof(Step));
    if (self->step == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int copies = 0;
    while (self->steps < count) {
        if (learn_step(self, &self->step[self->steps], PyTuple_GetItem(steps, self->steps), &copies) < 0) {
            return -1;
        }
        self->steps++;
    }
    if (copies != 1) {
        PyErr_SetString(PyExc_ValueError, "the steps make one event");
        return -1;
    }
    return 0;
}

/* Whether this literal may stand between holes of these kinds: it has the quotation marks of those that are strings. */
static bool
stands_between(PyObject *literal, char before, char behind)
{
    char *at;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(literal, &at, &length) < 0) {
        return false;
    }
    if (length < 1 || (before == 's' && at[0] != '"') || (behind == 's' && at[length - 1] != '"')) {
        PyErr_Format(PyExc_ValueError, "%R is no literal between two holes", literal);
        return false;
    }
    return true;
}

PyDoc_STRVAR(Template_doc,
"Template(literals, kinds, text, steps, unescape)\n--\n\n"
"literals: bytes, one more than there are holes. kinds: \"s\" or \"i\" for each hole. text: which hole is the text.\n"
"steps: pairs of what makes a copy, or the descriptor of a field, and a source. unescape: reads a JSON string.\n"
"A source that is callable makes what is set.");

static PyObject *
Template_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    PyObject *literals, *steps, *unescape;
    const char *kinds;
    Py_ssize_t holes, text;
    static char *names[] = {"literals", "kinds", "text", "steps", "unescape", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "O!s#nO!O", names, &PyTuple_Type, &literals, &kinds, &holes, &text,
                                     &PyTuple_Type, &steps, &unescape)) {
        return NULL;
    }
    if (holes < 1 || holes > MOST_HOLES || PyTuple_Size(literals) != holes + 1 || text < 0 || text >= holes ||
        strspn(kinds, "si") != (size_t)holes) {
        PyErr_Format(PyExc_ValueError, "%zd holes of the kinds %s, of which %zd is the text, between %zd literals",
                     holes, kinds, text, PyTuple_Size(literals));
        return NULL;
    }
    for (Py_ssize_t n = 0; n <= holes; n++) {
        if (!stands_between(PyTuple_GetItem(literals, n), n > 0 ? kinds[n - 1] : 'i', n < holes ? kinds[n] : 'i')) {
            return NULL;
        }
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Template *self = (Template *)allocate(type, 0);
    if (self == NULL) {
        return NULL;
    }
    Py_INCREF(literals);
    self->literals = literals;
    Py_INCREF(unescape);
    self->unescape = unescape;
    self->holes = holes;
    self->text = text;
    memcpy(self->kind, kinds, (size_t)holes);
    if (learn_steps(self, steps) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
Template_dealloc(Template *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    for (Py_ssize_t n = 0; n < self->steps; n++) {
        Py_DECREF(self->step[n].object);
        Py_XDECREF(self->step[n].maker);
    }
    PyMem_Free(self->step);
    Py_XDECREF(self->literals);
    Py_XDECREF(self->unescape);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef Template_methods[] = {
    {"read", (PyCFunction)(void (*)(void))Template_read, METH_O, read_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Template_slots[] = {
    {Py_tp_doc, (void *)Template_doc},
    {Py_tp_new, Template_new},
    {Py_tp_dealloc, Template_dealloc},
    {Py_tp_methods, Template_methods},
    {0, NULL},
};

/* What it holds are bytes, descriptors and copies of events, none of which can hold it: no cycle goes through it. */
static PyType_Spec Template_spec = {
    .name = "tokenwire.families._alike.Template",
    .basicsize = sizeof(Template),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Template_slots,
};

static int
fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &Template_spec, NULL);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Template", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tokenwire.families._alike",
    .m_doc = "Events out of JSON texts that differ from a known one only in a few values.",
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__alike(void)
{
    return PyModuleDef_Init(&module);
}
