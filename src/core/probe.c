/* probe.c: see probe.h. */
#include "probe.h"

#include "dispatch.h"
#include "mutant.h"
#include "replace.h"
#include "state.h"

/* Its worker died with it once. A session that is to be cleaned up is none, whatever waits in it. */
static bool suspect(const struct session *s)
{
	const struct request *head = TAILQ_FIRST(&s->requests);

	return s->ending == END_NONE && head != NULL && head->alone;
}

static struct session *first(const struct session_line *line, bool suspects)
{
	struct session *s;

	TAILQ_FOREACH (s, line, line)
		if (suspect(s) == suspects)
			return s;
	return NULL;
}

static struct session *first_for(const struct slot *w, bool suspects)
{
	struct session *s;

	if (!slot_has_room(w) || (suspects && w->places > 0))
		return NULL;
	s = first(&w->ready, suspects);
	if (s == NULL && w->state == HEALTH_READY && replace_serves(w))
		s = first(&w->pool->ready, suspects);
	return s;
}

/* False: there is none. True: it has had its turn, and may have ended in it. */
static bool try_one(struct engine *e, struct pool *p, bool suspects)
{
	struct session *s;

	for (uint32_t i = 0; i < p->nslots; i++) {
		if ((s = first_for(&p->slots[i], suspects)) == NULL)
			continue;
		dispatch_turn(e, &p->slots[i], s);
		return true;
	}
	return false;
}

/* All lines and slots were looked at, in vain: again when one of them has changed. */
static void rest(struct pool *p)
{
	struct slot *w;

	p->hungry = false;
	while ((w = TAILQ_FIRST(&p->feed)) != NULL) {
		TAILQ_REMOVE(&p->feed, w, feed);
		w->hungry = false;
	}
}

void probe_feed(struct engine *e, struct pool *p)
{
	bool suspects_too = p->circuit.timer.place == 0, suspects_first = suspects_too && MUTANT(65);

	if (!p->hungry && TAILQ_EMPTY(&p->feed))
		return;
	while (circuit_allows(p))
		if (!try_one(e, p, suspects_first) && !(suspects_too && try_one(e, p, !suspects_first))) {
			rest(p);
			return;
		}
}
