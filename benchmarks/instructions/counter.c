/* A plugin of QEMU's TCG that counts the guest's instructions and prints the count at marks.
 *
 * A mark is the system call sched_get_priority_max with a policy that doesn't exist, 7000 or more:
 * it does nothing, any language can make it, and nothing else does. The declarations are those of
 * qemu-plugin.h (API version 1, QEMU 4.2 to 8), which Debian doesn't package.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef struct qemu_info_t qemu_info_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*syscall_cb)(qemu_plugin_id_t id, unsigned int vcpu, int64_t num, uint64_t a1,
                           uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                           uint64_t a7, uint64_t a8);

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb,
                                                     enum qemu_plugin_op op, void *ptr,
                                                     uint64_t imm);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_cb cb);

int qemu_plugin_version = 1;

enum { SCHED_GET_PRIORITY_MAX_AARCH64 = 125, SCHED_GET_PRIORITY_MAX_X86_64 = 146 };
enum { FIRST_MARK = 7000 };

static uint64_t instructions;

static void on_block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &instructions,
                                             qemu_plugin_tb_n_insns(tb));
}

static void on_system_call(qemu_plugin_id_t id, unsigned int vcpu, int64_t num, uint64_t a1,
                           uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                           uint64_t a7, uint64_t a8)
{
    int is_mark = num == SCHED_GET_PRIORITY_MAX_AARCH64 || num == SCHED_GET_PRIORITY_MAX_X86_64;
    if (is_mark && a1 >= FIRST_MARK) {
        fprintf(stderr, "mark %" PRIu64 " %" PRIu64 "\n", a1 - FIRST_MARK, instructions);
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    return 0;
}
