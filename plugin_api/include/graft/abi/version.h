/* The ABI's version and the macros of the header. C11 and C++17. */
#ifndef GRAFT_ABI_VERSION_H
#define GRAFT_ABI_VERSION_H

#include <stddef.h>
#include <stdint.h>

/* A plugin and a host understand each other if their majors are equal. A newer minor on either side loads:
 * every struct begins with its size, fields are only appended, and a field is read only if the size covers
 * it (see GRAFT_HAS). */
#define GRAFT_ABI_MAJOR 1
#define GRAFT_ABI_MINOR 0

/* Whether `object->field` lies within the size that the object's author compiled. */
#define GRAFT_HAS(object, type, field) \
  ((object)->struct_size >= offsetof(type, field) + sizeof(((const type*)0)->field))

#if defined(_WIN32)
#define GRAFT_EXPORT __declspec(dllexport)
#else
#define GRAFT_EXPORT __attribute__((visibility("default")))
#endif

#endif
