// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stress test of a confidential guest's private and shared memory.
 *
 * A thread on each CPU fills buffers with a pattern and looks if it is still
 * there.  Half of the buffers are shared with the host, and with conversions=1
 * each changes sides all the time.  Nothing that the host does meanwhile, such
 * as migrating the guest, may change a single byte.
 *
 * Without memory encryption, sharing does nothing and the rest is the same.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/task.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

static bool conversions;
module_param(conversions, bool, 0);
MODULE_PARM_DESC(conversions, "Convert buffers between private and shared all the time");

static unsigned int nr_buffers = 8;
module_param(nr_buffers, uint, 0);
MODULE_PARM_DESC(nr_buffers, "Buffers of each thread");

static unsigned int max_order = 5;
module_param(max_order, uint, 0);
MODULE_PARM_DESC(max_order, "The largest order of a buffer");

struct buffer {
	u64 *words;
	unsigned int order;
	bool shared;
	u64 generation;
};

struct worker {
	struct task_struct *task;
	struct buffer *buffers;
	unsigned long nr_rounds;
};

static struct worker *workers;
static atomic_t nr_errors;

/* Whoever finds the wrong word learns when, and for which address, it was written. */
static u64 pattern(const struct buffer *buffer, const u64 *word)
{
	return __pa(word) | buffer->generation << 48;
}

static unsigned long nr_words(const struct buffer *buffer)
{
	return (PAGE_SIZE << buffer->order) / sizeof(*buffer->words);
}

static void fill(struct buffer *buffer)
{
	unsigned long i;

	buffer->generation++;
	for (i = 0; i < nr_words(buffer); i++)
		WRITE_ONCE(buffer->words[i], pattern(buffer, &buffer->words[i]));
}

static bool check(const struct buffer *buffer)
{
	unsigned long i;

	for (i = 0; i < nr_words(buffer); i++) {
		u64 found = READ_ONCE(buffer->words[i]);
		u64 expected = pattern(buffer, &buffer->words[i]);
		phys_addr_t pa = __pa(&buffer->words[i]);

		if (found == expected)
			continue;
		atomic_inc(&nr_errors);
		pr_err("%s memory at %pa: 0x%016llx instead of 0x%016llx\n",
		       buffer->shared ? "shared" : "private", &pa, found, expected);
		return false;
	}
	return true;
}

/* What is in the buffer is lost. */
static bool convert(struct buffer *buffer)
{
	unsigned long addr = (unsigned long)buffer->words;
	int err;

	if (buffer->shared)
		err = set_memory_encrypted(addr, 1 << buffer->order);
	else
		err = set_memory_decrypted(addr, 1 << buffer->order);
	if (err) {
		phys_addr_t pa = __pa(buffer->words);

		atomic_inc(&nr_errors);
		pr_err("conversion of %u pages at %pa to %s: error %d\n", 1 << buffer->order,
		       &pa, buffer->shared ? "private" : "shared", err);
		/* Neither can be used for anything else: leaked. */
		buffer->words = NULL;
		return false;
	}
	buffer->shared = !buffer->shared;
	return true;
}

static bool stress(struct buffer *buffer)
{
	if (!check(buffer))
		return false;
	if (conversions && !convert(buffer))
		return false;
	fill(buffer);
	return check(buffer);
}

/* The first error stops them all: what there is to see is left as it is. */
static int stress_thread(void *data)
{
	struct worker *worker = data;

	set_user_nice(current, MAX_NICE);
	while (!kthread_should_stop() && !atomic_read(&nr_errors)) {
		if (stress(&worker->buffers[get_random_u32_below(nr_buffers)]))
			WRITE_ONCE(worker->nr_rounds, worker->nr_rounds + 1);
		cond_resched();
	}
	return 0;
}

static unsigned long nr_rounds(void)
{
	unsigned long sum = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(workers[cpu].nr_rounds);
	return sum;
}

static void report(struct work_struct *work)
{
	pr_info("%lu rounds, %d errors\n", nr_rounds(), atomic_read(&nr_errors));
	schedule_delayed_work(to_delayed_work(work), HZ);
}

static DECLARE_DELAYED_WORK(report_work, report);

static int alloc_buffer(struct buffer *buffer, bool shared)
{
	struct page *page;

	buffer->order = get_random_u32_below(max_order + 1);
	page = alloc_pages(GFP_KERNEL, buffer->order);
	if (!page)
		return -ENOMEM;
	buffer->words = page_address(page);
	if (shared && !convert(buffer))
		return -EIO;
	fill(buffer);
	return 0;
}

static void free_buffer(struct buffer *buffer)
{
	if (!buffer->words)
		return;
	if (!atomic_read(&nr_errors))
		check(buffer);
	if (buffer->shared && !convert(buffer))
		return;
	free_pages((unsigned long)buffer->words, buffer->order);
}

static int start_worker(unsigned int cpu)
{
	struct worker *worker = &workers[cpu];
	struct task_struct *task;
	unsigned int i;
	int err;

	worker->buffers = kcalloc(nr_buffers, sizeof(*worker->buffers), GFP_KERNEL);
	if (!worker->buffers)
		return -ENOMEM;
	for (i = 0; i < nr_buffers; i++) {
		err = alloc_buffer(&worker->buffers[i], i % 2);
		if (err)
			return err;
	}

	task = kthread_create_on_cpu(stress_thread, worker, cpu, "mem_stress/%u");
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* It may end before it is stopped. */
	worker->task = get_task_struct(task);
	wake_up_process(task);
	return 0;
}

static void stop_workers(void)
{
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		if (workers[cpu].task)
			kthread_stop_put(workers[cpu].task);
	}
	for_each_possible_cpu(cpu) {
		for (i = 0; workers[cpu].buffers && i < nr_buffers; i++)
			free_buffer(&workers[cpu].buffers[i]);
		kfree(workers[cpu].buffers);
	}
}

static int __init mem_encrypt_stress_init(void)
{
	unsigned int cpu;
	int err = 0;

	if (!nr_buffers || max_order > MAX_PAGE_ORDER)
		return -EINVAL;
	workers = kcalloc(nr_cpu_ids, sizeof(*workers), GFP_KERNEL);
	if (!workers)
		return -ENOMEM;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		err = start_worker(cpu);
		if (err)
			break;
	}
	cpus_read_unlock();
	if (err) {
		stop_workers();
		kfree(workers);
		return err;
	}
	schedule_delayed_work(&report_work, HZ);
	return 0;
}
module_init(mem_encrypt_stress_init);

static void __exit mem_encrypt_stress_exit(void)
{
	cancel_delayed_work_sync(&report_work);
	stop_workers();
	pr_info("stopped after %lu rounds, %d errors\n", nr_rounds(), atomic_read(&nr_errors));
	kfree(workers);
}
module_exit(mem_encrypt_stress_exit);

MODULE_DESCRIPTION("Stress test of a confidential guest's private and shared memory");
MODULE_LICENSE("GPL");
