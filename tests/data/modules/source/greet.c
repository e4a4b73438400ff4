// SPDX-License-Identifier: GPL-2.0
/* Exports something to the other module, as drivers in several parts do. */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

int greet(const char *whom);

int greet(const char *whom)
{
	char *copy = kstrdup(whom, GFP_KERNEL);

	if (!copy)
		return -ENOMEM;
	pr_info("hello, %s\n", copy);
	kfree(copy);
	return 0;
}
EXPORT_SYMBOL_GPL(greet);

MODULE_DESCRIPTION("A module that another one needs");
MODULE_LICENSE("GPL");
