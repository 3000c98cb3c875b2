#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

edgeseg_status edgeseg_fail(Error *error, edgeseg_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (length < 0)
        strcpy(error->text, "the reason cannot be told");
    size_t end = strlen(error->text);
    if ((size_t)length > end) { /* it was cut: perhaps within a character */
        while (end > 0 && ((unsigned char)error->text[end - 1] & 0xc0) == 0x80)
            end--;
        if (end > 0 && (unsigned char)error->text[end - 1] >= 0xc0)
            end--;
        error->text[end] = 0;
    }
    for (char *at = error->text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return status;
}

edgeseg_status edgeseg_no_memory(Error *error) {
    return edgeseg_fail(error, EDGESEG_NO_MEMORY, "there is not enough memory; close other programs");
}
