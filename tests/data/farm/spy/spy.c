// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Says spy, for kmodci's tests");

static int __init spy_init(void)
{
	pr_info("spy\n");
	return 0;
}

static void __exit spy_exit(void)
{
	pr_info("bye\n");
}

module_init(spy_init);
module_exit(spy_exit);
