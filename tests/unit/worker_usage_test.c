/* worker_usage_test.c: the memory of a worker and of all that it started is told once a second. */
#include "worker_stage.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "usage.h"

enum { MIB = 1 << 20 };

/* What is resident, and what of it are pages of files and shared memory; in bytes. */
static void resident_read(int pid, uint64_t *all, uint64_t *files)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*u %" SCNu64 " %" SCNu64, all, files), 2);
	fclose(f);
	*all *= page;
	*files *= page;
}

/* Without pages of files; a mock worker has no shared memory. */
static uint64_t resident(int pid)
{
	uint64_t all, files;

	resident_read(pid, &all, &files);
	return all - files;
}

static uint64_t of_files(int pid)
{
	uint64_t all, files;

	resident_read(pid, &all, &files);
	return files;
}

/* Until it was looked at once more. */
static uint64_t look(struct stage *s, uint16_t slot)
{
	int before = s->seen[slot].looks;

	stage_wait(s, s->seen[slot].looks > before);
	return s->seen[slot].memory;
}

START_TEST(a_worker_that_grows_is_seen)
{
	struct stage s;
	uint64_t before, after;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	before = look(&s, 0);
	ck_assert_uint_gt(before, 0);
	for (int i = 0; i < 20; i++)
		stage_ask(&s, 0, "echo", SLICE("{\"mock\":{\"fault\":\"leak\"}}"));
	after = look(&s, 0);
	ck_assert_uint_ge(after, before + 19 * MIB);
	ck_assert_uint_ge(after, resident(s.seen[0].pid) - 4 * MIB);
	ck_assert_uint_le(after, resident(s.seen[0].pid) + 4 * MIB);
	stage_close(&s);
}
END_TEST

START_TEST(what_a_worker_started_counts_wherever_it_went)
{
	struct stage s;
	uint64_t before, after;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	before = look(&s, 0);
	stage_ask(&s, 0, "echo", SLICE("{\"mock\":{\"fault\":\"escape\"}}")); /* a child of the guard from then on */
	after = look(&s, 0);
	ck_assert_uint_ge(after, before + 16 * 1024);
	stage_close(&s);
}
END_TEST

START_TEST(each_is_looked_at_once_a_second)
{
	struct stage s;
	uint64_t begun = uv_hrtime();

	stage_open_mock(&s, NULL);
	for (uint16_t i = 0; i < STAGE_WORKERS; i++)
		stage_start(&s, i);
	for (uint16_t i = 0; i < STAGE_WORKERS; i++)
		stage_wait(&s, s.seen[i].looks >= 2);
	ck_assert_uint_ge(uv_hrtime() - begun, UINT64_C(1900000000));
	for (uint16_t i = 0; i < STAGE_WORKERS; i++)
		ck_assert_int_le(s.seen[i].looks, 3);
	stage_close(&s);
}
END_TEST

START_TEST(the_dead_are_not_looked_at)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	stage_start(&s, 1);
	look(&s, 0);
	stage_stop(&s, 0, STOP_KILL);
	stage_wait(&s, s.seen[0].gone);
	look(&s, 1); /* the stage refuses words of those that are gone */
	stage_close(&s);
}
END_TEST

static void *start_large(void *pipe)
{
	if (fork() == 0) {
		char *much = malloc(32 * MIB);

		memset(much, 1, 32 * MIB);
		if (write(*(int *)pipe, much, 1) == 1)
			pause();
		_exit(0);
	}
	pause();
	return NULL;
}

/* A guard's place, a worker below it, and what a thread of that started. */
START_TEST(children_of_threads_count)
{
	int ready[2], status;
	pid_t guard;
	uint64_t all;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	guard = fork();
	if (guard == 0) {
		pthread_t thread;

		setpgid(0, 0); /* all of it ends by one signal */
		if (fork() == 0)
			pthread_create(&thread, NULL, start_large, &ready[1]);
		pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	all = usage_held(guard, 0);
	kill(-guard, SIGKILL); /* before anything can fail */
	ck_assert_int_eq(waitpid(guard, &status, 0), guard);
	ck_assert_uint_ge(all, 32 * MIB);
	close(ready[0]);
	close(ready[1]);
}
END_TEST

/* Many workers map the same libraries, or the same weights of a model: that is no reason to end one of them. The kernel fills the
 * pages, for what a sanitizer keeps about bytes that the program itself writes is memory of its own. */
START_TEST(pages_of_files_do_not_count)
{
	char path[] = "usage-XXXXXX"; /* where the build is: /tmp may be memory */
	int fd = mkstemp(path);
	uint64_t before = usage_held(0x7ffffff, getpid()), pages = of_files(getpid());
	char *mapped;

	ck_assert_int_eq(ftruncate(fd, 32 * MIB), 0);
	unlink(path);
	mapped = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	ck_assert_ptr_ne(mapped, MAP_FAILED);
	ck_assert_uint_ge(of_files(getpid()), pages + 31 * MIB);
	ck_assert_uint_lt(usage_held(0x7ffffff, getpid()), before + 4 * MIB);
	munmap(mapped, 32 * MIB);
	close(fd);
}
END_TEST

START_TEST(shared_memory_counts)
{
	uint64_t before = usage_held(0x7ffffff, getpid()), after;
	char *mapped = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(mapped, MAP_FAILED);
	memset(mapped, 1, 32 * MIB);
	after = usage_held(0x7ffffff, getpid());
	ck_assert_uint_ge(after, before + 31 * MIB);
	munmap(mapped, 32 * MIB);
}
END_TEST

START_TEST(nothing_below_is_nothing)
{
	ck_assert_uint_eq(usage_held(0x7ffffff, 0x7ffffff), 0);
	ck_assert_uint_gt(usage_held(0x7ffffff, getpid()), 16 * 1024); /* a kernel without lists of children */
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("usage");

	tcase_add_test(t, a_worker_that_grows_is_seen);
	tcase_add_test(t, what_a_worker_started_counts_wherever_it_went);
	tcase_add_test(t, each_is_looked_at_once_a_second);
	tcase_add_test(t, the_dead_are_not_looked_at);
	tcase_add_test(t, children_of_threads_count);
	tcase_add_test(t, pages_of_files_do_not_count);
	tcase_add_test(t, shared_memory_counts);
	tcase_add_test(t, nothing_below_is_nothing);
	return stage_main("worker_usage", t);
}
