// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Says broken, for kmodci's tests");

static int __init broken_init(void)
{
	return no_such_function("broken");
}

static void __exit broken_exit(void)
{
	pr_info("bye\n");
}

module_init(broken_init);
module_exit(broken_exit);
