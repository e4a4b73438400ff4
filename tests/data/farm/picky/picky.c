// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Says picky, for kmodci's tests");

static int __init picky_init(void)
{
	pr_info("picky\n");
	return 0;
}

static void __exit picky_exit(void)
{
	pr_info("bye\n");
}

module_init(picky_init);
module_exit(picky_exit);
