/* man.c: see man.h. */
#include "bridgepool/base/man.h"

void man_text(const char *text, struct buf *out)
{
	bool start = true;

	for (; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			buf_text(out, "\\&");
		if (*text == '\\')
			buf_text(out, "\\e");
		else if (*text == '-')
			buf_text(out, "\\-");
		else
			buf_append(out, text, 1);
		start = *text == '\n';
	}
}
