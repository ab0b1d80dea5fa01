/*
 * list — a doubly linked ring whose links are members of the items it holds.
 *
 * Owns     nothing.
 * Threads  one at a time.
 */
#pragma once

#include <stdbool.h>

#include "common/base/err.h"

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_ITEM(link, type, member) CONTAINER_OF(link, type, member)
/* safe against removal of the current item */
#define LIST_EACH(head, it)                                                                        \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_push(struct list *head, struct list *item) /* at the end */
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_push_first(struct list *head, struct list *item)
{
    list_push(head->next, item);
}

static inline void list_remove(struct list *item) /* harmless when it is in no list */
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

static inline struct list *list_take_first(struct list *head) /* NULL when empty */
{
    if (list_empty(head))
        return NULL;
    struct list *item = head->next;
    list_remove(item);
    return item;
}
