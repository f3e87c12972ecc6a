/* A run of chunks that are one event each, cut into its payloads: `cut` of runs.py, compiled.

   Theory of operation. A chunk says how long it is, so nothing is searched for: each part of it
   has its place, counted from the front or from the end, and is compared with what must stand there.

       138 CRLF [event: name LF] data: {...} LF LF CRLF
                ^               ^      ^   ^ ^     ^
                data            line   |   | tail  footer, at data + 0x138
                                 payload   end

   Whatever differs anywhere ends the run in front of it, and is left to body.py and sse.py. There is
   no state, and nothing is kept: the memory is the caller's, and held only for the time of the call.

   This is the limited API of CPython 3.11, so that one build does for all versions since. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdbool.h>
#include <string.h>

/* RFC 9112, 7.1: "chunk-size = 1*HEXDIG". Two or three of them: 16 to 4,095 bytes, which is every token. */
enum { FEWEST_DIGITS = 2, MOST_DIGITS = 3 };

static const char EVENT[] = "event: ";
static const char DATA[] = "data: ";
enum { EVENT_LENGTH = sizeof EVENT - 1, DATA_LENGTH = sizeof DATA - 1, FOOTER_LENGTH = 2 };

/* The ends of a line and of the blank line behind it. */
static const char CRLF_CRLF[] = "\r\n\r\n";
static const char LF_LF[] = "\n\n";

static bool
holds(const char *begin, const char *end, char byte)
{
    return memchr(begin, byte, (size_t)(end - begin)) != NULL;
}

static int
hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20; /* lower case */
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The chunk-data behind the chunk-size line that begins here, or NULL. size: set to how long it must be. */
static const char *
chunk_data(const char *at, const char *end, Py_ssize_t *size)
{
    int digits = 0, digit;
    *size = 0;
    while (digits <= MOST_DIGITS && at < end && (digit = hex_digit(*at)) >= 0) {
        *size = *size * 16 + digit;
        digits++;
        at++;
    }
    if (digits < FEWEST_DIGITS || digits > MOST_DIGITS || end - at < FOOTER_LENGTH || memcmp(at, "\r\n", 2) != 0) {
        return NULL;
    }
    return at + 2;
}

/* The line behind the `event:` line that begins here, where one does; NULL where it is none of the usual. */
static const char *
behind_event_line(const char *line, const char *end, Py_ssize_t line_end)
{
    if (end - line < EVENT_LENGTH || memcmp(line, EVENT, EVENT_LENGTH) != 0) {
        return line;
    }
    const char *name = line + EVENT_LENGTH;
    const char *feed = memchr(name, '\n', (size_t)(end - name));
    if (feed == NULL) {
        return NULL;
    }
    const char *name_end = feed - (line_end - 1);
    if (name_end < name || (line_end == 2 && *name_end != '\r') || holds(name, name_end, '\r')) {
        return NULL;
    }
    if (name_end - name == 5 && memcmp(name, "error", 5) == 0) {
        return NULL; /* that makes an error of whatever follows */
    }
    return feed + 1;
}

/* Where the chunk that begins here ends, or NULL where it is no whole one of this shape.
   payload, payload_end: set to the JSON object in it. line_end: the length of a line's end, 1 (LF) or 2 (CRLF). */
static const char *
one_event(const char *at, const char *end, Py_ssize_t line_end, const char **payload, const char **payload_end)
{
    Py_ssize_t size;
    const char *data = chunk_data(at, end, &size);
    if (data == NULL || end - data < size + FOOTER_LENGTH) {
        return NULL;
    }
    /* RFC 9112, 7.1: "chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF". */
    const char *footer = data + size;
    if (memcmp(footer, "\r\n", 2) != 0 || size < 2 * line_end) {
        return NULL;
    }
    const char *tail = footer - 2 * line_end;
    if (memcmp(tail, line_end == 1 ? LF_LF : CRLF_CRLF, (size_t)(2 * line_end)) != 0) {
        return NULL;
    }
    const char *line = behind_event_line(data, tail, line_end);
    if (line == NULL || tail - line < DATA_LENGTH + 2 || memcmp(line, DATA, DATA_LENGTH) != 0) {
        return NULL;
    }
    *payload = line + DATA_LENGTH;
    *payload_end = tail;
    if (**payload != '{' || tail[-1] != '}') {
        return NULL;
    }
    /* One line: WHATWG, 9.2.6: lines end with CRLF, LF or CR. */
    if (holds(*payload, tail, '\n') || holds(*payload, tail, '\r')) {
        return NULL;
    }
    return footer + FOOTER_LENGTH;
}

/* Append the payloads to a list; gives where the run ends, or NULL with an exception set. */
static const char *
cut_run(const char *at, const char *end, Py_ssize_t line_end, PyObject *payloads)
{
    const char *payload, *payload_end, *next;
    while ((next = one_event(at, end, line_end, &payload, &payload_end)) != NULL) {
        PyObject *bytes = PyBytes_FromStringAndSize(payload, payload_end - payload);
        if (bytes == NULL) {
            return NULL;
        }
        int failed = PyList_Append(payloads, bytes);
        Py_DECREF(bytes);
        if (failed) {
            return NULL;
        }
        at = next;
    }
    return at;
}

PyDoc_STRVAR(cut_doc,
"cut(data, start, end, line_end, /)\n--\n\n"
"The payloads of the run that begins at `start`, and where it ends. See tokenwire.wire.runs.");

static PyObject *
cut(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 4) {
        return PyErr_Format(PyExc_TypeError, "cut() takes 4 arguments, not %zd", count);
    }
    Py_ssize_t start = PyLong_AsSsize_t(args[1]);
    Py_ssize_t end = PyLong_AsSsize_t(args[2]);
    Py_ssize_t line_end = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_buffer data;
    if (PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *found = NULL;
    if (start < 0 || start > end || end > data.len || line_end < 1 || line_end > 2) {
        PyErr_Format(PyExc_ValueError, "cut() of %zd bytes, from %zd to %zd, lines ending in %zd", data.len, start, end,
                     line_end);
    }
    else {
        PyObject *payloads = PyList_New(0);
        if (payloads != NULL) {
            const char *begin = data.buf;
            const char *at = cut_run(begin + start, begin + end, line_end, payloads);
            found = at == NULL ? NULL : Py_BuildValue("(On)", payloads, (Py_ssize_t)(at - begin));
            Py_DECREF(payloads);
        }
    }
    PyBuffer_Release(&data);
    return found;
}

static PyMethodDef functions[] = {
    {"cut", (PyCFunction)(void (*)(void))cut, METH_FASTCALL, cut_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tokenwire.wire._runs",
    .m_doc = "Runs of chunks that are one event each, cut by C.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__runs(void)
{
    return PyModuleDef_Init(&module);
}
