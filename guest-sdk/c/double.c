// Numbers with a fraction as text. The only part of the SDK that needs stdio; a component without it has none.

#include "internal.h"
#include <stdio.h>

void tidemill_append_double(tidemill_buffer *b, double number) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { // 17 always read back as the same number
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    tidemill_append_format(b, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}
