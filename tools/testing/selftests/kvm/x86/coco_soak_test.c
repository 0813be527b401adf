// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hours of all that confidential guests and their hosts do, at the same time, and
 * then see that the memory is still there.
 *
 * In each round, Linux guests boot and convert memory or are migrated, requests of
 * guests are tested or fuzzed, CPUs go offline and online, all memory is taken and
 * given back, and somebody tries to unload the vendor module, which is in use.
 * Between rounds there are no VMs: the module is unloaded and loaded again, caches
 * are dropped, and what the kernel has then is noted.  It must not grow from the
 * second quarter of the rounds to the last.
 *
 * Workers are other tests wherever there is one.
 *
 * This takes CPUs, memory and modules from all else, and more time than kselftest
 * gives a test: it is built and installed, but not run along with the other tests.
 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel_module.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "linux_guest_sev.h"
#include "processor.h"
#include "test_util.h"

#define ONLINE		"/sys/devices/system/cpu/cpu%d/online"
#define SLABS		"/sys/kernel/slab"

#define MAX_ROUNDS	1000
#define MAX_ARGS	10
/* Each of the combinations twice; quarters of fewer rounds say nothing. */
#define MIN_ROUNDS	8

/* How long a program, and thus the end of a round, may take; it is killed then. */
#define MAX_SECONDS	480

/* Left to the others when memory is taken. */
#define SPARE_KIB	(160 * 1024)
#define CHUNK		(4ul << 20)

/*
 * By how much the least of the last quarter may be above that of the second, in
 * KiB: per-CPU lists and stack depots of debug kernels don't stand still.
 */
#define MAX_SLAB_GROWTH		(2 * 1024)
#define MAX_USED_GROWTH		(8 * 1024)

enum worker {
	GUESTS,
	MIGRATIONS,
	REQUESTS,
	FUZZ,
	HOTPLUG,
	MEMORY,
	UNLOAD,
	NR_WORKERS,
};

static const char * const worker_names[NR_WORKERS] = {
	"guests", "migrations", "requests", "fuzz", "hotplug", "memory", "unload",
};

/* In KiB, but for the time */
struct sample {
	double seconds;
	long available;
	long slab;
	long vmalloc;
	long used;
};

static struct options {
	int seconds;
	int round_seconds;
	const char *module;
	char kernel[PATH_MAX];
	char symbols[PATH_MAX];
	u64 seed;
} options = { .seconds = 120, .round_seconds = 40 };

/* Shared with all workers. */
static struct state {
	int rounds[NR_WORKERS];
	int longest[NR_WORKERS];
	int nr_killed;
	bool stop;
} *state;

static char directory[PATH_MAX];
static const char *module_name;
static int module_fd;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

static long kib_of(const char *name)
{
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");
	long kib = -1;

	TEST_ASSERT(file, "cannot read /proc/meminfo, errno %d", errno);
	while (kib < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			kib = atol(line + strlen(name) + 1);
	fclose(file);
	TEST_ASSERT(kib >= 0, "/proc/meminfo has no %s", name);
	return kib;
}

/* Workers: each returns true if all went well, once after the other until stopped. */

static void print_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		ksft_print_msg("  %s%s", line, strchr(line, '\n') ? "" : "\n");
	if (file)
		fclose(file);
	fflush(stdout);
}

/* Its output is of interest only if it fails. */
static bool run_program(enum worker worker, ...)
{
	const char *argv[MAX_ARGS + 1] = {};
	double start = now();
	va_list ap;
	int i = 0;
	char path[PATH_MAX + 64], output[64];
	int fd, status;
	pid_t pid;

	va_start(ap, worker);
	while (i < MAX_ARGS && (argv[i] = va_arg(ap, const char *)))
		i++;
	va_end(ap);

	/* The library looks for a guest's code in the file that argv[0] names. */
	snprintf(path, sizeof(path), "%s/%s", directory, argv[0]);
	argv[0] = path;
	snprintf(output, sizeof(output), "/tmp/coco_soak.%s", worker_names[worker]);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execv(path, (char **)argv);
		perror(path);
		_exit(127);
	}
	while (pid > 0 && !waitpid(pid, &status, WNOHANG)) {
		if (now() - start > MAX_SECONDS)
			kill(pid, SIGKILL);
		usleep(20000);
	}
	if (pid > 0 && !status) {
		unlink(output);
		return true;
	}
	print_file(output);
	ksft_print_msg("%s: status 0x%x after %.0f s: %s\n", worker_names[worker], status,
		       now() - start, path);
	fflush(stdout);
	return false;
}

static bool boot_guests(int round)
{
	/* Plain and SEV guests in turn, or SEV guests whose pages are compared. */
	if (round & 1)
		return run_program(GUESTS, "sev_guest_test", "-t", "300", "-k", options.kernel,
				   "-s", options.symbols, NULL);
	return run_program(GUESTS, "sev_guest_test", "-b", "-k", options.kernel, NULL);
}

static bool migrate(int round)
{
	return run_program(MIGRATIONS, "guest_live_migration_test", "-n", "2", "-r", "0",
			   "-t", "300", "-k", options.kernel, NULL);
}

static bool test_requests(int round)
{
	char seed[32];

	snprintf(seed, sizeof(seed), "%lu", (unsigned long)(options.seed + round) & 0x7fffffff);
	return run_program(REQUESTS, "map_gpa_test", "-s", seed, NULL);
}

static bool fuzz(int round)
{
	char seed[32];

	snprintf(seed, sizeof(seed), "%lu", (unsigned long)options.seed + round);
	return run_program(FUZZ, "coco_exits_fuzz", "-s", seed, "-e", "2000", NULL);
}

/* One CPU at a time, never CPU 0, and none is left offline. */
static bool cycle_cpus(int round)
{
	int cpu, err, nr_cpus = sysconf(_SC_NPROCESSORS_CONF);
	char path[64];

	for (cpu = 1; cpu < nr_cpus; cpu++) {
		snprintf(path, sizeof(path), ONLINE, cpu);
		err = write_file(path, "0");
		usleep(200000);
		err = err ?: write_file(path, "1");
		if (err) {
			ksft_print_msg("hotplug: CPU %d, errno %d\n", cpu, err);
			return false;
		}
		usleep(300000);
	}
	return true;
}

/* A process of its own, so that it is this one that is killed if it takes too much. */
static bool take_memory(int round)
{
	int status;
	char *mem;
	pid_t pid;

	pid = fork();
	if (!pid) {
		write_file("/proc/self/oom_score_adj", "1000");
		while (kib_of("MemAvailable") > SPARE_KIB) {
			mem = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
			if (mem == MAP_FAILED)
				break;
		}
		usleep(200000);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		state->nr_killed++;
	else if (status)
		return false;
	usleep(1000000);
	return !write_file("/proc/sys/vm/drop_caches", "3");
}

/* The VM of each round's parent keeps the module in use. */
static bool try_to_unload(int round)
{
	int ret = syscall(__NR_delete_module, module_name, O_NONBLOCK);

	if (!ret || (errno != EAGAIN && errno != EBUSY)) {
		ksft_print_msg("unload: returned %d, errno %d, while there is a VM\n", ret, errno);
		return false;
	}
	usleep(100000);
	return true;
}

static bool (* const workers[NR_WORKERS])(int round) = {
	[GUESTS] = boot_guests,
	[MIGRATIONS] = migrate,
	[REQUESTS] = test_requests,
	[FUZZ] = fuzz,
	[HOTPLUG] = cycle_cpus,
	[MEMORY] = take_memory,
	[UNLOAD] = try_to_unload,
};

static bool failed[NR_WORKERS];

static bool is_wanted(enum worker worker)
{
	return worker != UNLOAD || options.module;
}

/* Of those that take long, one boots Linux and one doesn't, each with each of the other. */
static bool is_due(enum worker worker, int round)
{
	switch (worker) {
	case GUESTS:
		return !(round & 1);
	case MIGRATIONS:
		return round & 1;
	case REQUESTS:
		return !(round & 2);
	case FUZZ:
		return round & 2;
	default:
		return is_wanted(worker);
	}
}

/* The workers of a round, until all have stopped; false if one of them failed. */
static bool run_round(int round, double end)
{
	pid_t pids[NR_WORKERS];
	struct kvm_vm *vm = vm_create_barebones();
	bool (*work)(int round);
	int i, status, nr_left = 0;
	double start, deadline = 0;
	bool ok = true;

	state->stop = false;
	fflush(stdout);
	for (i = 0; i < NR_WORKERS; i++) {
		pids[i] = 0;
		if (!is_due(i, round))
			continue;
		pids[i] = fork();
		TEST_ASSERT(pids[i] >= 0, "fork() failed, errno %d", errno);
		if (!pids[i]) {
			setpgid(0, 0);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work = workers[i];
			do {
				start = now();
				if (!work(state->rounds[i]))
					_exit(1);
				state->rounds[i]++;
				state->longest[i] = max(state->longest[i], (int)(now() - start));
			} while (!state->stop);
			_exit(0);
		}
		nr_left++;
	}

	while (nr_left) {
		usleep(100000);
		/* One that has failed ends the round for all. */
		if ((now() > end || !ok) && !state->stop) {
			state->stop = true;
			deadline = now() + MAX_SECONDS + 20;
		}
		for (i = 0; i < NR_WORKERS; i++) {
			if (!pids[i])
				continue;
			if (waitpid(pids[i], &status, WNOHANG) == pids[i]) {
				pids[i] = 0;
				nr_left--;
				failed[i] |= status;
				ok &= !status;
			} else if (deadline && now() > deadline) {
				ksft_print_msg("%s does not end\n", worker_names[i]);
				kill(-pids[i], SIGKILL);
				deadline += 5;
			}
		}
	}
	kvm_vm_free(vm);
	return ok;
}

static int reload(void)
{
	int err = kernel_module_unload(module_name);

	return err ?: syscall(__NR_finit_module, module_fd, "", 0) ? errno : 0;
}

/* Get rid of what is kept for later: free objects, and those that KASAN watches. */
static void settle(void)
{
	struct dirent *entry;
	char path[512];
	DIR *dir;
	int i;

	for (i = 0; i < 2; i++) {
		write_file("/proc/sys/vm/drop_caches", "3");
		dir = opendir(SLABS);
		while (dir && (entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), SLABS "/%s/shrink", entry->d_name);
			write_file(path, "1");
		}
		if (dir)
			closedir(dir);
		usleep(500000);
	}
}

static struct sample measure(double start)
{
	struct sample sample = {
		.seconds = now() - start,
		.available = kib_of("MemAvailable"),
		.slab = kib_of("SUnreclaim"),
		.vmalloc = kib_of("VmallocUsed"),
	};

	sample.used = kib_of("MemTotal") - kib_of("MemFree") - kib_of("Buffers") -
		      kib_of("Cached") - kib_of("SReclaimable");
	return sample;
}

/* The least, because lists of free pages, which are no leak, come and go. */
static long least(const struct sample *samples, int nr, bool slab)
{
	long value, min = LONG_MAX;
	int i;

	for (i = 0; i < nr; i++) {
		value = slab ? samples[i].slab : samples[i].used;
		if (value < min)
			min = value;
	}
	return min;
}

static void judge(const struct sample *samples, int nr, bool slab, long max)
{
	const char *name = slab ? "SUnreclaim" : "memory in use and no cache";
	long second, last;

	if (nr < MIN_ROUNDS) {
		ksft_test_result_skip("%s: %d rounds, of which quarters say nothing\n", name, nr);
		return;
	}
	second = least(samples + nr / 4, nr / 4, slab);
	last = least(samples + nr - nr / 4, nr / 4, slab);
	ksft_test_result(last - second <= max,
			 "%s: %ld KiB in quarter 2, %ld KiB in quarter 4: %+ld, at most %ld\n",
			 name, second, last, last - second, max);
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-t seconds] [-r seconds] [-m module] [-k bzImage]\n"
	       "       [-s System.map] [-S seed]\n", name);
	printf(" -t: how long to go on, at least, but for %d rounds (default: %d)\n",
	       MIN_ROUNDS, options.seconds);
	printf(" -r: how long a round goes on, until its programs have ended (default: %d)\n",
	       options.round_seconds);
	printf(" -m: kvm-amd.ko or kvm-intel.ko, to be loaded again after each round\n");
	printf(" -k: kernel of guests, default /boot/vmlinuz-RELEASE\n");
	printf(" -s: its symbols, default /boot/System.map-RELEASE\n");
	printf(" -S: seed of what is random (default: the time)\n");
	exit(0);
}

int main(int argc, char *argv[])
{
	static struct sample samples[MAX_ROUNDS];
	int i, opt, err, nr_samples = 0, nr_reloads = 0, failed_reload = 0;
	double start, end;
	struct utsname uts;
	char path[PATH_MAX];
	bool ok = true;
	ssize_t len;

	uname(&uts);
	snprintf(options.kernel, sizeof(options.kernel), "/boot/vmlinuz-%s", uts.release);
	snprintf(options.symbols, sizeof(options.symbols), "/boot/System.map-%s", uts.release);
	options.seed = time(NULL);
	while ((opt = getopt(argc, argv, "ht:r:m:k:s:S:")) != -1) {
		switch (opt) {
		case 't':
			options.seconds = atoi_positive("Seconds", optarg);
			break;
		case 'r':
			options.round_seconds = atoi_positive("Seconds", optarg);
			break;
		case 'm':
			options.module = optarg;
			break;
		case 'k':
			snprintf(options.kernel, sizeof(options.kernel), "%s", optarg);
			break;
		case 's':
			snprintf(options.symbols, sizeof(options.symbols), "%s", optarg);
			break;
		case 'S':
			options.seed = strtoull(optarg, NULL, 0);
			break;
		default:
			help(argv[0]);
		}
	}

	TEST_REQUIRE(linux_guest_sev_supported(KVM_X86_DEFAULT_VM));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_COCO_EXITS) & KVM_COCO_EXIT_MAP_GPA_RANGE);
	__TEST_REQUIRE(!access(options.kernel, R_OK), "no kernel for guests: %s", options.kernel);
	__TEST_REQUIRE(!access(options.symbols, R_OK), "no symbols of it: %s", options.symbols);
	module_name = host_cpu_is_intel ? "kvm_intel" : "kvm_amd";
	if (options.module) {
		module_fd = open(options.module, O_RDONLY | O_CLOEXEC);
		TEST_ASSERT(module_fd >= 0, "open(%s) failed, errno %d", options.module, errno);
		err = reload();
		__TEST_REQUIRE(!err, "cannot reload %s, errno %d", module_name, err);
	}
	len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	TEST_ASSERT(len > 0, "cannot read /proc/self/exe, errno %d", errno);
	path[len] = 0;
	snprintf(directory, sizeof(directory), "%s", dirname(path));
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(state != MAP_FAILED, "mmap() failed, errno %d", errno);

	ksft_print_header();
	ksft_set_plan(NR_WORKERS + 3);
	ksft_print_msg("seed %lu, %d s, rounds of %d s\n", (unsigned long)options.seed,
		       options.seconds, options.round_seconds);
	ksft_print_msg("KiB, when all VMs are gone and caches are empty:\n");

	start = now();
	end = start + options.seconds;
	while (ok && (now() < end || nr_samples < MIN_ROUNDS) && nr_samples < MAX_ROUNDS) {
		ok = run_round(nr_samples, now() + options.round_seconds);
		if (options.module) {
			failed_reload = reload();
			nr_reloads += !failed_reload;
			ok &= !failed_reload;
		}
		settle();
		samples[nr_samples] = measure(start);
		ksft_print_msg("round %d, %.0f s:", nr_samples + 1, samples[nr_samples].seconds);
		for (i = 0; i < NR_WORKERS; i++)
			printf(" %s %d,", worker_names[i], state->rounds[i]);
		printf(" MemAvailable %ld, SUnreclaim %ld, VmallocUsed %ld, used %ld\n",
		       samples[nr_samples].available, samples[nr_samples].slab,
		       samples[nr_samples].vmalloc, samples[nr_samples].used);
		fflush(stdout);
		nr_samples++;
	}

	for (i = 0; i < NR_WORKERS; i++) {
		if (is_wanted(i))
			ksft_test_result(!failed[i] && state->rounds[i],
					 "%s: %d times, each within %d s\n",
					 worker_names[i], state->rounds[i], state->longest[i] + 1);
		else
			ksft_test_result_skip("%s: no module\n", worker_names[i]);
	}
	ksft_print_msg("%d times, the kernel killed who took all memory\n", state->nr_killed);
	if (options.module)
		ksft_test_result(!failed_reload, "%s: reloaded %d times, errno %d\n",
				 module_name, nr_reloads, failed_reload);
	else
		ksft_test_result_skip("reload: no module\n");
	judge(samples, nr_samples, true, MAX_SLAB_GROWTH);
	judge(samples, nr_samples, false, MAX_USED_GROWTH);
	ksft_finished();
}
