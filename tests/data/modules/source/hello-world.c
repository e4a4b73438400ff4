// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

int greet(const char *whom);

static int __init hello_init(void)
{
	return greet("world");
}

static void __exit hello_exit(void)
{
	pr_info("goodbye\n");
}

module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("A module that needs another one");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
