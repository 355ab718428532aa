/* SPDX-License-Identifier: MIT */
#include "transport/open.h"

#include "base/error.h"
#include "base/options.h"

df_code open_read(const df_transport_options *given, df_transport_options *o,
                  df_transport_upcalls *up, df_error *err) {
    *o = (df_transport_options){.struct_size = sizeof *o};
    *up = (df_transport_upcalls){.struct_size = sizeof *up};
    df_code code = options_read(o, given, "df_transport_options", err);
    if (code == DF_OK) code = options_read(up, o->upcalls, "df_transport_upcalls", err);
    if (code == DF_OK && o->address && !(up->on_request && up->on_payload && up->on_gone))
        code = error_invalid(err, "%s: df_transport_upcalls has not all three", o->address);
    return code;
}
