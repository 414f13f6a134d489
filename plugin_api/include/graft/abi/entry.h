/* graft_entry: one kernel of a plugin, a drop-in for the forward of a layer. */
#ifndef GRAFT_ABI_ENTRY_H
#define GRAFT_ABI_ENTRY_H

#include "call.h"
#include "contract.h"
#include "status.h"
#include "version.h"

/* What an entry promises. */
enum {
  GRAFT_ENTRY_HAS_BACKWARD = 1,
  /* May be captured in a graph: fixed pointers; lengths and seeds are read from device memory. */
  GRAFT_ENTRY_GRAPH_SAFE = 2,
  /* Works as an operator whose output shapes follow from the contract alone. */
  GRAFT_ENTRY_COMPILE_SAFE = 4,
  GRAFT_ENTRY_DETERMINISTIC = 8,
  /* prepare() makes its own copy of the weights: forward gets GRAFT_NONE for them and the host may release the
   * originals' pages. */
  GRAFT_ENTRY_PREPACKS = 16,
  /* prepare() quantises the weights: results differ from the layer's own by the quantisation error, beyond the contract's
   * tolerance. A host holds them against graft_quantized_tolerance instead, says so where it says what runs, and never
   * chooses such an entry by itself: its user names it. */
  GRAFT_ENTRY_QUANTIZES = 32
};

/* The plugin's own state for one layer on one device. */
typedef struct graft_instance graft_instance;
typedef struct graft_entry graft_entry;

/* Static for the life of the process; everything it points to as well.
 *
 * Threads: functions on different instances may run at once. On one instance, [bind] functions run while no
 * other function does; [call] functions may run at once from any number of threads.
 * `arguments` are in the order of the contract's arguments, `attributes` in that of its attributes; absent ones
 * are GRAFT_NONE, and the counts are those of the contract. */
struct graft_entry {
  uint32_t struct_size;
  uint32_t flags;               /* GRAFT_ENTRY_… */
  const char* name;             /* "LigerRMSNorm": what stands behind the colon of a reference */
  const char* const* contracts; /* {"RMSNorm/1"}: the contracts it fulfils, best first */
  uint32_t contract_count;
  int32_t device_type; /* GRAFT_DEVICE_… */
  /* Compute capability as major * 10 + minor, both ends included; 0 and 0: any. CUDA and ROCm. */
  int32_t capability_min;
  int32_t capability_max;
  const graft_dtype* dtypes; /* what the contract's "T" may be */
  uint32_t dtype_count;
  uint32_t reserved;
  /* CPU features it needs, as Linux names them in /proc/cpuinfo, separated by spaces: "avx2 fma". Null: none. */
  const char* cpu_features;

  /* Whether these shapes, strides, dtypes and attributes are served: GRAFT_OK or GRAFT_UNSUPPORTED. Pure. Null: all
   * that the contract allows. [any thread] */
  graft_status (*supports)(const graft_entry* entry, const graft_contract* contract, const graft_value* attributes,
                           const graft_value* arguments);

  /* Makes the state for one layer. `*instance` may stay null for an entry without state. [bind] */
  graft_status (*create)(const graft_entry* entry, const graft_contract* contract, graft_device device,
                         const graft_value* attributes, graft_instance** instance);

  /* Gives back what create made. Null: nothing to give back. [bind] */
  void (*destroy)(graft_instance* instance);

  /* Shows the layer's weights, all arguments that are no weights being GRAFT_NONE; called after create and
   * whenever a weight's pointer or version changes. It may pack them, with the help of
   * GRAFT_EXT_PARALLEL_FOR. The pointers stay valid until the next prepare or destroy, unless the entry
   * PREPACKS. Null: not interested. [bind] */
  graft_status (*prepare)(graft_instance* instance, const graft_value* arguments);

  /* Bytes of workspace that forward (backward: with GRAFT_WORKSPACE_BACKWARD) needs for these shapes. Pure and monotone:
   * larger dimensions never need less, so the answer for the largest shapes is the bound that graphs
   * allocate. For backward it is asked before forward, with all of forward's arguments, and the weights too if the entry
   * PREPACKS; or, where the two are operators of a graph, before backward, with the shapes alone (data is null) of those that
   * are gone by then. Null: none. [call] */
  graft_status (*workspace_size)(const graft_instance* instance, uint32_t pass, const graft_value* arguments,
                                 uint32_t thread_count, size_t* bytes);

  /* Output shapes of a contract that leaves them to the entry (shape NULL): fills the shape of each output's tensor,
   * whose ndim is set. For data-dependent shapes an upper bound; the count is an output. Pure. Null: the contract
   * has no such output. [call] */
  graft_status (*infer)(const graft_instance* instance, const graft_value* arguments);

  /* The layer's forward. Reentrant; allocates nothing, does not synchronise; scratch is the workspace. After a
   * failure inout arguments may be half written: the host then raises an error instead of falling back. [call] */
  graft_status (*forward)(const graft_instance* instance, const graft_call* call, const graft_value* arguments);

  /* Gradients. `arguments` are forward's, those without GRAFT_ARG_KEPT or GRAFT_ARG_SAVED being GRAFT_NONE; a kept
   * weight is there even if the entry PREPACKS.
   * `grad_outputs` stand in the order of the contract's outputs that are not SAVED, GRAFT_NONE for a zero gradient;
   * `grad_inputs` in the order of its inputs, weights included, to be written where bit i of `needs_gradient` is set, else
   * GRAFT_NONE. Both are contiguous, and have the dtype and shape of what they are the gradient of (a broadcast input's
   * own). A failure is an error of the training step: nothing can take over here. Never called for a contract with
   * inout arguments. Reentrant, on any thread. Null unless HAS_BACKWARD. [call] */
  graft_status (*backward)(const graft_instance* instance, const graft_call* call, const graft_value* arguments,
                           const graft_value* grad_outputs, uint64_t needs_gradient, const graft_value* grad_inputs);
};

/* `pass` of workspace_size. */
enum { GRAFT_WORKSPACE_FORWARD = 0, GRAFT_WORKSPACE_BACKWARD = 1 };

#endif
