/* policy_kit — policy objects as the control plane would send them, for tests. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/policy/snapshot.h"
#include "common/policy/snapshot_build.h"
#include "common/scope/registry.h"
#include "proto/channel.pb-c.h"
#include "tests/kit/scratch.h"

static inline void kit_digest(const char *of, uint8_t out[static DIGEST_LEN])
{
    struct digest d;
    digest_sha256(slice_str(of), &d);
    memcpy(out, d.bytes, DIGEST_LEN);
}

static inline void kit_key(struct snapshot_build *b, const char *id, uint64_t revision,
                           const char *budget_account)
{
    uint8_t digest[DIGEST_LEN];
    Gatehouse__Key key = GATEHOUSE__KEY__INIT;
    Gatehouse__Budget budget = GATEHOUSE__BUDGET__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    kit_digest(id, digest);
    key.org_id = "org";
    key.name = (char *)(uintptr_t)id;
    key.digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
    key.has_digest = true;
    budget.account = (char *)(uintptr_t)budget_account;
    key.budget = budget_account ? &budget : NULL;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    o.id = (char *)(uintptr_t)id;
    o.revision = revision;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_KEY;
    o.key = &key;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static inline void kit_model(struct snapshot_build *b, const char *id, const char *name,
                             uint64_t revision)
{
    Gatehouse__Model model = GATEHOUSE__MODEL__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    model.org_id = "org";
    model.name = (char *)(uintptr_t)name;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_MODEL;
    o.id = (char *)(uintptr_t)id;
    o.revision = revision;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &model;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static inline void kit_grant(struct snapshot_build *b, const char *id, const char *agent,
                             uint64_t revision)
{
    Gatehouse__Grant grant = GATEHOUSE__GRANT__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    grant.org_id = "org";
    grant.agent_id = (char *)(uintptr_t)agent;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_GRANT;
    o.id = (char *)(uintptr_t)id;
    o.revision = revision;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_GRANT;
    o.grant = &grant;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static inline void kit_block(struct snapshot_build *b, const char *id, const char *kind,
                             const char *subject)
{
    Gatehouse__Block block = GATEHOUSE__BLOCK__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    block.subject_kind = (char *)(uintptr_t)kind;
    block.subject_id = (char *)(uintptr_t)subject;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_BLOCK;
    o.id = (char *)(uintptr_t)id;
    o.revision = 1;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_BLOCK;
    o.block = &block;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static inline void kit_delete(struct snapshot_build *b, int kind, const char *id)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    o.has_kind = o.has_deleted = true;
    o.kind = (Gatehouse__ObjectKind)kind;
    o.id = (char *)(uintptr_t)id;
    o.deleted = true;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}
