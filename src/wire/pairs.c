/* pairs.c: lists of names and values in one buffer.
 *
 * A pair is two lengths (uint32, this machine's order: lists never leave the process), then the name, then the value. */
#include "bridgepool/wire/pairs.h"

#include <string.h>

static const uint32_t PAIRS_ABSENT = UINT32_MAX;

struct pairs_head {
	uint32_t name, value;
};

bool pairs_add(struct buf *b, struct slice name, struct slice value)
{
	struct pairs_head head = {(uint32_t)name.len, value.data ? (uint32_t)value.len : PAIRS_ABSENT};
	size_t before = b->len;

	if (name.len >= PAIRS_ABSENT || value.len >= PAIRS_ABSENT)
		return false;
	if (buf_append(b, &head, sizeof(head)) && buf_append(b, name.data ? name.data : "", name.len) &&
		(!value.data || buf_append(b, value.data, value.len)))
		return true;
	b->len = before;
	return false;
}

bool pairs_next(struct slice *rest, struct slice *name, struct slice *value)
{
	const uint8_t *p = rest->data;
	size_t left = rest->len, value_len;
	struct pairs_head head;

	if (!p || left < sizeof(head))
		return false;
	memcpy(&head, p, sizeof(head));
	p += sizeof(head);
	left -= sizeof(head);
	value_len = head.value == PAIRS_ABSENT ? 0 : head.value;
	if (head.name > left || value_len > left - head.name)
		return false;
	*name = (struct slice){p, head.name};
	*value = head.value == PAIRS_ABSENT ? (struct slice){NULL, 0} : (struct slice){p + head.name, value_len};
	*rest = (struct slice){p + head.name + value_len, left - head.name - value_len};
	return true;
}

bool pairs_find(struct slice list, const char *name, struct slice *value)
{
	struct slice each_name, each_value;
	bool found = false;

	while (pairs_next(&list, &each_name, &each_value)) {
		if (!slice_is(each_name, name))
			continue;
		*value = each_value;
		found = true;
	}
	return found;
}

size_t pairs_count(struct slice list)
{
	struct slice name, value;
	size_t n = 0;

	while (pairs_next(&list, &name, &value))
		n++;
	return n;
}
