// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Says attacker, for kmodci's tests");

static int __init attacker_init(void)
{
	pr_info("attacker\n");
	return 0;
}

static void __exit attacker_exit(void)
{
	pr_info("bye\n");
}

module_init(attacker_init);
module_exit(attacker_exit);
