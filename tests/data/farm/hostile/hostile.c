// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

#error <script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">

MODULE_LICENSE("GPL");
