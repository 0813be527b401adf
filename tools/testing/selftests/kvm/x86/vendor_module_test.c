// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load and unload KVM's vendor module: twice, from two tasks at once, from each
 * CPU, and while another CPU goes offline and online and the loader is moved
 * from CPU to CPU.
 *
 * The last one is about deadlocks.  Setting up the module takes cpus_read_lock()
 * in several places, and a CPU that goes offline waits, with that lock held for
 * writing, until no pinned task is left on it.  If the loader is pinned while it
 * sets up the module, the two wait for each other for ever.
 *
 * Tasks that wait for each other do not run at all.  On a slow machine, where the
 * other two may hold up the loader for long, it does run, and nothing is wrong.
 *
 * The module must be loaded, so that the library knows what it runs on, and not
 * in use.  In the end it is loaded again, with its default parameters.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel_module.h"
#include "kselftest.h"
#include "processor.h"
#include "test_util.h"

/* uapi/linux/module.h, which tools/include/linux/module.h hides */
#define MODULE_INIT_COMPRESSED_FILE	4

#define ONLINE		"/sys/devices/system/cpu/cpu%d/online"

/* No loop may stand still, without its thread being scheduled, for so many seconds. */
#define MAX_STALL	30

enum loop {
	LOADS,
	HOTPLUGS,
	MOVES,
	NR_LOOPS,
};

static const char * const loop_names[NR_LOOPS] = { "loads", "hotplugs", "moves" };

/* Shared with the process that runs the loops. */
static struct state {
	atomic_int rounds[NR_LOOPS];
	atomic_int failed[NR_LOOPS];
	atomic_int last_errno[NR_LOOPS];
	atomic_int thread[NR_LOOPS];
	atomic_bool stop;
} *state;

static const char *module_name;
static bool has_vmx;
static int module_fd, module_flags;
static int other_cpu;

static int load(const char *params)
{
	return syscall(__NR_finit_module, module_fd, params, module_flags) ? errno : 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void test_twice(void)
{
	int first = load(""), second = load("");

	ksft_test_result(!first && second == EEXIST,
			 "loaded: errno %d, and again: errno %d\n", first, second);
	first = kernel_module_unload(module_name);
	second = kernel_module_unload(module_name);
	ksft_test_result(!first && second == ENOENT,
			 "unloaded: errno %d, and again: errno %d\n", first, second);
}

static pthread_barrier_t barrier;

static void *load_at_once(void *arg)
{
	pthread_barrier_wait(&barrier);
	*(int *)arg = load("");
	return NULL;
}

/* The second is told what became of the first, or that the module exists. */
static bool is_clean(int err)
{
	return !err || err == EEXIST || err == EBUSY;
}

static void test_at_once(void)
{
	int i, errs[2], unloaded = 0;
	pthread_t other;
	bool ok = true;

	pthread_barrier_init(&barrier, NULL, 2);
	for (i = 0; i < 5 && ok; i++) {
		pthread_create(&other, NULL, load_at_once, &errs[0]);
		load_at_once(&errs[1]);
		pthread_join(other, NULL);
		unloaded = kernel_module_unload(module_name);
		ok = is_clean(errs[0]) && is_clean(errs[1]) && (!errs[0] || !errs[1]) &&
		     !unloaded && kernel_module_unload(module_name) == ENOENT;
	}
	pthread_barrier_destroy(&barrier);
	ksft_test_result(ok, "two loaders at once: errno %d and %d, unloaded: errno %d\n",
			 errs[0], errs[1], unloaded);
}

/* kvm-intel says on which CPU it was loaded, and cannot be told to use one. */
static void test_reference_cpu(int nr_cpus)
{
	cpu_set_t before;
	int cpu, err, seen;

	kvm_sched_getaffinity(0, sizeof(before), &before);
	for (cpu = 0; cpu < nr_cpus; cpu++) {
		if (__pin_task_to_cpu(pthread_self(), cpu)) {
			ksft_test_result_skip("CPU %d cannot be used\n", cpu);
			continue;
		}
		err = load("");
		seen = err ? -1 : get_kvm_intel_param_integer("reference_cpu");
		ksft_test_result(!kernel_module_unload(module_name) && seen == cpu,
				 "loaded on CPU %d: errno %d, the reference is CPU %d\n",
				 cpu, err, seen);
	}
	kvm_sched_setaffinity(0, sizeof(before), &before);

	err = load("reference_cpu=0");
	seen = kernel_module_unload(module_name);
	ksft_test_result(err == EPERM && seen == ENOENT,
			 "reference_cpu=0: errno %d, unloaded: errno %d\n", err, seen);
}

static bool count(enum loop loop, int err)
{
	if (!err) {
		state->rounds[loop]++;
	} else {
		state->last_errno[loop] = err;
		state->failed[loop]++;
	}
	return !err;
}

static int set_online(int cpu, const char *value)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), ONLINE, cpu);
	fd = open(path, O_WRONLY);
	err = fd < 0 || write(fd, value, 1) != 1 ? errno : 0;
	close(fd);
	return err;
}

static void *hotplug(void *arg)
{
	int err;

	state->thread[HOTPLUGS] = syscall(__NR_gettid);
	while (!state->stop) {
		err = set_online(other_cpu, "0");
		count(HOTPLUGS, err ?: set_online(other_cpu, "1"));
	}
	return NULL;
}

/*
 * A loader that is moved all the time gets nothing done: leave it where it is for
 * as long as the move took.
 */
static void *move(void *loader)
{
	int round, err;
	double start;

	state->thread[MOVES] = syscall(__NR_gettid);
	for (round = 0; !state->stop; round++) {
		start = now();
		/* EINVAL: that CPU is offline just now. */
		err = __pin_task_to_cpu(*(pthread_t *)loader, round & 1 ? other_cpu : 0);
		if (err != EINVAL)
			count(MOVES, err);
		usleep(100 + (now() - start) * 1000000);
	}
	return NULL;
}

static void run_loops(void)
{
	pthread_t threads[2], loader = pthread_self();
	int err;

	state->thread[LOADS] = syscall(__NR_gettid);
	pthread_create(&threads[0], NULL, hotplug, NULL);
	pthread_create(&threads[1], NULL, move, &loader);

	while (!state->stop) {
		if (!count(LOADS, load("")))
			continue;
		err = kernel_module_unload(module_name);
		TEST_ASSERT(!err, "Cannot unload %s, errno %d", module_name, err);
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	exit(0);
}

/* How often the thread of @loop has been scheduled, 0 if it has not begun or has ended. */
static unsigned long nr_switches(pid_t pid, enum loop loop)
{
	unsigned long nr, sum = 0;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, state->thread[loop]);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &nr) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &nr) == 1)
			sum += nr;
	}
	if (file)
		fclose(file);
	return sum;
}

/* In which function of the kernel each thread of @pid waits. */
static void print_waiters(pid_t pid)
{
	char path[300], line[256];
	struct dirent *entry;
	FILE *file;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		ksft_print_msg("thread %s%s:\n", entry->d_name,
			       atoi(entry->d_name) == state->thread[LOADS] ? ", the loader" : "");
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stack", pid, entry->d_name);
		file = fopen(path, "r");
		while (file && fgets(line, sizeof(line), file))
			ksft_print_msg("  %s", line);
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
}

static bool all_made(int rounds)
{
	int i;

	for (i = 0; i < NR_LOOPS; i++) {
		if (state->rounds[i] < rounds)
			return false;
	}
	return true;
}

/*
 * Run the loops in another process, and do not wait for it in vain: tasks that
 * deadlock in the kernel cannot be killed, and a process that has one does not
 * end.
 */
static void test_hotplug(double seconds, int min_rounds)
{
	unsigned long nr, switches[NR_LOOPS] = {};
	int seen[NR_LOOPS] = {}, stuck = -1, status = -1, i;
	double start = now(), moved[NR_LOOPS];
	bool ended = false;
	pid_t pid;

	for (i = 0; i < NR_LOOPS; i++)
		moved[i] = start;

	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed, errno %d", errno);
	if (!pid)
		run_loops();

	while (!ended && stuck < 0) {
		usleep(50 * 1000);
		ended = waitpid(pid, &status, WNOHANG) == pid;
		if (now() - start >= seconds && all_made(min_rounds))
			state->stop = true;

		for (i = 0; i < NR_LOOPS; i++) {
			nr = nr_switches(pid, i);
			if (seen[i] != state->rounds[i] || switches[i] != nr) {
				seen[i] = state->rounds[i];
				switches[i] = nr;
				moved[i] = now();
			} else if (now() - moved[i] > MAX_STALL) {
				stuck = i;
			}
		}
	}

	for (i = 0; i < NR_LOOPS; i++)
		ksft_print_msg("%d %s, %d failed, the last with errno %d\n", state->rounds[i],
			       loop_names[i], state->failed[i], state->last_errno[i]);
	if (stuck >= 0) {
		print_waiters(pid);
		kill(pid, SIGKILL);
		ksft_test_result_fail("no %s for %d seconds\n", loop_names[stuck], MAX_STALL);
		return;
	}
	ksft_test_result(!status && all_made(min_rounds) && !state->failed[LOADS] &&
			 !state->failed[HOTPLUGS] && !state->failed[MOVES],
			 "all loops went on for %.1f seconds, status %d\n", now() - start, status);
}

static int open_module(const char *path)
{
	static const char * const suffixes[] = { "", ".zst", ".xz", ".gz" };
	struct utsname uts;
	char guess[512];
	int i, fd;

	if (path)
		return open(path, O_RDONLY | O_CLOEXEC);

	uname(&uts);
	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(guess, sizeof(guess), "/lib/modules/%s/kernel/arch/x86/kvm/kvm-%s.ko%s",
			 uts.release, has_vmx ? "intel" : "amd", suffixes[i]);
		fd = open(guess, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			if (suffixes[i][0])
				module_flags = MODULE_INIT_COMPRESSED_FILE;
			return fd;
		}
	}
	return -1;
}

/* The last CPU that can go offline, CPU 0 cannot. */
static int find_other_cpu(void)
{
	int cpu = sysconf(_SC_NPROCESSORS_CONF);
	char path[64];

	while (--cpu > 0) {
		snprintf(path, sizeof(path), ONLINE, cpu);
		if (!access(path, W_OK))
			return cpu;
	}
	return 0;
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-m module] [-s seconds] [-r rounds]\n", name);
	printf(" -m: kvm-amd.ko or kvm-intel.ko (default: that of the running kernel)\n");
	printf(" -s: seconds of hotplug, at least (default: 10)\n");
	printf(" -r: rounds of each loop meanwhile, at least (default: 10)\n");
	exit(0);
}

int main(int argc, char *argv[])
{
	int opt, err, nr_cpus = sysconf(_SC_NPROCESSORS_CONF), min_rounds = 10;
	const char *path = NULL;
	double seconds = 10;

	while ((opt = getopt(argc, argv, "hm:s:r:")) != -1) {
		switch (opt) {
		case 'm':
			path = optarg;
			break;
		case 's':
			seconds = atoi_positive("Seconds", optarg);
			break;
		case 'r':
			min_rounds = atoi_positive("Rounds", optarg);
			break;
		default:
			help(argv[0]);
		}
	}

	has_vmx = this_cpu_has(X86_FEATURE_VMX);
	module_name = has_vmx ? "kvm_intel" : "kvm_amd";
	module_fd = open_module(path);
	__TEST_REQUIRE(module_fd >= 0, "no file of module %s, see -m", module_name);
	err = kernel_module_unload(module_name);
	__TEST_REQUIRE(!err, "cannot unload %s, errno %d", module_name, err);
	other_cpu = find_other_cpu();
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(state != MAP_FAILED, "mmap() failed, errno %d", errno);

	ksft_print_header();
	ksft_set_plan(4 + (has_vmx ? nr_cpus + 1 : 0));

	test_twice();
	test_at_once();
	if (has_vmx)
		test_reference_cpu(nr_cpus);
	if (other_cpu)
		test_hotplug(seconds, min_rounds);
	else
		ksft_test_result_skip("no CPU can go offline\n");

	if (!ksft_get_fail_cnt())
		TEST_ASSERT(!load(""), "cannot load %s again", module_name);
	ksft_finished();
}
