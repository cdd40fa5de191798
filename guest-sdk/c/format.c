// The part of printf that messages and keys need, without stdio.

#include "internal.h"

static void append_u64(tidemill_buffer *b, uint64_t n, unsigned base, bool minus) {
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    if (minus)
        digits[--at] = '-';
    tidemill_append(b, tidemill_bytes(digits + at, sizeof digits - at));
}

void tm_append_args(tidemill_buffer *b, const char *format, va_list args) {
    while (*format) {
        size_t plain = strcspn(format, "%");
        tidemill_append(b, tidemill_bytes(format, plain));
        format += plain;
        if (!*format)
            return;
        const char *directive = format++;
        int precision = -1, longs = 0;
        bool z = false;
        if (format[0] == '.' && format[1] == '*') {
            precision = va_arg(args, int);
            format += 2;
        }
        for (;; format++) {
            if (*format == 'l')
                longs++;
            else if (*format == 'z')
                z = true;
            else
                break;
        }
        switch (*format++) {
        case '%':
            tidemill_append(b, tidemill_text("%"));
            break;
        case 'c': {
            char c = (char)va_arg(args, int);
            tidemill_append(b, tidemill_bytes(&c, 1));
            break;
        }
        case 's': {
            const char *s = va_arg(args, const char *);
            tidemill_append(b, tidemill_bytes(s, precision >= 0 ? (size_t)precision : strlen(s)));
            break;
        }
        case 'd':
        case 'i': {
            int64_t n = z ? (int64_t)va_arg(args, ptrdiff_t) : longs > 1 ? va_arg(args, long long) : longs ? va_arg(args, long) : va_arg(args, int);
            append_u64(b, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10, n < 0);
            break;
        }
        case 'u':
        case 'x': {
            unsigned base = format[-1] == 'x' ? 16 : 10;
            uint64_t n = z ? va_arg(args, size_t) : longs > 1 ? va_arg(args, unsigned long long) : longs ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            append_u64(b, n, base, false);
            break;
        }
        default: // not one of ours: what follows cannot be told either
            tidemill_append(b, tidemill_text(directive));
            return;
        }
    }
}

void tidemill_append_format(tidemill_buffer *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tm_append_args(b, format, args);
    va_end(args);
}
