//! The fields of the answers that agora reads, as the schemas of Kafka have them
//! (`clients/src/main/resources/common/message/*Response.json`), up to the ceilings of [`api`](super::api). A test holds
//! each against what decodes it.

use super::shape::Part::{Blob, Fixed, List, Many, Struct, Text};
use super::shape::{Shape, always, before, flexible, from, rigid, tagged};

pub(super) const PRODUCE: Shape = flexible(
    9,
    &[
        always(List(&[
            always(Text),
            always(List(&[
                always(Fixed(4)),
                always(Fixed(2)),
                always(Fixed(8)),
                always(Fixed(8)),
                from(5, Fixed(8)),
                from(8, List(&[from(8, Fixed(4)), from(8, Text)])),
                from(8, Text),
            ])),
        ])),
        always(Fixed(4)),
    ],
);
pub(super) const FETCH: Shape = flexible(
    12,
    &[
        always(Fixed(4)),
        from(7, Fixed(2)),
        from(7, Fixed(4)),
        always(List(&[
            before(13, Text),
            from(13, Fixed(16)),
            always(List(&[
                always(Fixed(4)),
                always(Fixed(2)),
                always(Fixed(8)),
                always(Fixed(8)),
                from(5, Fixed(8)),
                always(List(&[always(Fixed(8)), always(Fixed(8))])),
                from(11, Fixed(4)),
                always(Blob),
                tagged(0, Struct(&[from(12, Fixed(4)), from(12, Fixed(8))])),
                tagged(1, Struct(&[from(12, Fixed(4)), from(12, Fixed(4))])),
                tagged(2, Struct(&[always(Fixed(8)), always(Fixed(4))])),
            ])),
        ])),
    ],
);
pub(super) const LIST_OFFSETS: Shape = flexible(
    6,
    &[
        from(2, Fixed(4)),
        always(List(&[
            always(Text),
            always(List(&[
                always(Fixed(4)),
                always(Fixed(2)),
                always(Fixed(8)),
                always(Fixed(8)),
                from(4, Fixed(4)),
            ])),
        ])),
    ],
);
pub(super) const METADATA: Shape = flexible(
    9,
    &[
        from(3, Fixed(4)),
        always(List(&[always(Fixed(4)), always(Text), always(Fixed(4)), from(1, Text)])),
        from(2, Text),
        from(1, Fixed(4)),
        always(List(&[
            always(Fixed(2)),
            always(Text),
            from(10, Fixed(16)),
            from(1, Fixed(1)),
            always(List(&[
                always(Fixed(2)),
                always(Fixed(4)),
                always(Fixed(4)),
                from(7, Fixed(4)),
                always(Many(&Fixed(4))),
                always(Many(&Fixed(4))),
                from(5, Many(&Fixed(4))),
            ])),
            from(8, Fixed(4)),
        ])),
        from(8, Fixed(4)),
    ],
);
pub(super) const OFFSET_COMMIT: Shape = flexible(
    8,
    &[from(3, Fixed(4)), always(List(&[always(Text), always(List(&[always(Fixed(4)), always(Fixed(2))]))]))],
);
pub(super) const OFFSET_FETCH: Shape = flexible(
    6,
    &[
        from(3, Fixed(4)),
        always(List(&[
            always(Text),
            always(List(&[
                always(Fixed(4)),
                always(Fixed(8)),
                from(5, Fixed(4)),
                always(Text),
                always(Fixed(2)),
            ])),
        ])),
        from(2, Fixed(2)),
    ],
);
pub(super) const FIND_COORDINATOR: Shape = flexible(
    3,
    &[from(1, Fixed(4)), always(Fixed(2)), from(1, Text), always(Fixed(4)), always(Text), always(Fixed(4))],
);
pub(super) const JOIN_GROUP: Shape = flexible(
    6,
    &[
        from(2, Fixed(4)),
        always(Fixed(2)),
        always(Fixed(4)),
        from(7, Text),
        always(Text),
        always(Text),
        from(9, Fixed(1)),
        always(Text),
        always(List(&[always(Text), from(5, Text), always(Blob)])),
    ],
);
pub(super) const HEARTBEAT: Shape = flexible(4, &[from(1, Fixed(4)), always(Fixed(2))]);
pub(super) const LEAVE_GROUP: Shape = flexible(
    4,
    &[from(1, Fixed(4)), always(Fixed(2)), from(3, List(&[from(3, Text), from(3, Text), from(3, Fixed(2))]))],
);
pub(super) const SYNC_GROUP: Shape =
    flexible(4, &[from(1, Fixed(4)), always(Fixed(2)), from(5, Text), from(5, Text), always(Blob)]);
pub(super) const DESCRIBE_GROUPS: Shape = flexible(
    5,
    &[
        from(1, Fixed(4)),
        always(List(&[
            always(Fixed(2)),
            always(Text),
            always(Text),
            always(Text),
            always(Text),
            always(List(&[
                always(Text),
                from(4, Text),
                always(Text),
                always(Text),
                always(Blob),
                always(Blob),
            ])),
            from(3, Fixed(4)),
        ])),
    ],
);
pub(super) const LIST_GROUPS: Shape = flexible(
    3,
    &[from(1, Fixed(4)), always(Fixed(2)), always(List(&[always(Text), always(Text), from(4, Text)]))],
);
pub(super) const SASL_HANDSHAKE: Shape = rigid(&[always(Fixed(2)), always(Many(&Text))]);
pub(super) const API_VERSIONS: Shape = flexible(
    3,
    &[
        always(Fixed(2)),
        always(List(&[always(Fixed(2)), always(Fixed(2)), always(Fixed(2))])),
        from(1, Fixed(4)),
        tagged(0, List(&[from(3, Text), from(3, Fixed(2)), from(3, Fixed(2))])),
        tagged(1, Fixed(8)),
        tagged(2, List(&[from(3, Text), from(3, Fixed(2)), from(3, Fixed(2))])),
        tagged(3, Fixed(1)),
    ],
);
pub(super) const CREATE_TOPICS: Shape = flexible(
    5,
    &[
        always(Fixed(4)),
        always(List(&[
            always(Text),
            always(Fixed(2)),
            always(Text),
            from(5, Fixed(4)),
            from(5, Fixed(2)),
            from(
                5,
                List(&[
                    from(5, Text),
                    from(5, Text),
                    from(5, Fixed(1)),
                    from(5, Fixed(1)),
                    from(5, Fixed(1)),
                ]),
            ),
            tagged(0, Fixed(2)),
        ])),
    ],
);
pub(super) const DELETE_TOPICS: Shape =
    flexible(4, &[always(Fixed(4)), always(List(&[always(Text), always(Fixed(2)), from(5, Text)]))]);
pub(super) const DELETE_RECORDS: Shape = flexible(
    2,
    &[
        always(Fixed(4)),
        always(List(&[always(Text), always(List(&[always(Fixed(4)), always(Fixed(8)), always(Fixed(2))]))])),
    ],
);
pub(super) const INIT_PRODUCER_ID: Shape =
    flexible(2, &[always(Fixed(4)), always(Fixed(2)), always(Fixed(8)), always(Fixed(2))]);
pub(super) const OFFSET_FOR_LEADER_EPOCH: Shape = flexible(
    4,
    &[
        always(Fixed(4)),
        always(List(&[
            always(Text),
            always(List(&[always(Fixed(2)), always(Fixed(4)), always(Fixed(4)), always(Fixed(8))])),
        ])),
    ],
);
pub(super) const DESCRIBE_CONFIGS: Shape = flexible(
    4,
    &[
        always(Fixed(4)),
        always(List(&[
            always(Fixed(2)),
            always(Text),
            always(Fixed(1)),
            always(Text),
            always(List(&[
                always(Text),
                always(Text),
                always(Fixed(1)),
                always(Fixed(1)),
                always(Fixed(1)),
                always(List(&[always(Text), always(Text), always(Fixed(1))])),
                from(3, Fixed(1)),
                from(3, Text),
            ])),
        ])),
    ],
);
pub(super) const DESCRIBE_LOG_DIRS: Shape = flexible(
    2,
    &[
        always(Fixed(4)),
        from(3, Fixed(2)),
        always(List(&[
            always(Fixed(2)),
            always(Text),
            always(List(&[
                always(Text),
                always(List(&[always(Fixed(4)), always(Fixed(8)), always(Fixed(8)), always(Fixed(1))])),
            ])),
            from(4, Fixed(8)),
            from(4, Fixed(8)),
        ])),
    ],
);
pub(super) const SASL_AUTHENTICATE: Shape =
    flexible(2, &[always(Fixed(2)), always(Text), always(Blob), from(1, Fixed(8))]);
pub(super) const CREATE_PARTITIONS: Shape =
    flexible(2, &[always(Fixed(4)), always(List(&[always(Text), always(Fixed(2)), always(Text)]))]);
pub(super) const DELETE_GROUPS: Shape =
    flexible(2, &[always(Fixed(4)), always(List(&[always(Text), always(Fixed(2))]))]);
pub(super) const INCREMENTAL_ALTER_CONFIGS: Shape = flexible(
    1,
    &[always(Fixed(4)), always(List(&[always(Fixed(2)), always(Text), always(Fixed(1)), always(Text)]))],
);
pub(super) const OFFSET_DELETE: Shape = rigid(&[
    always(Fixed(2)),
    always(Fixed(4)),
    always(List(&[always(Text), always(List(&[always(Fixed(4)), always(Fixed(2))]))])),
]);
pub(super) const ADD_OFFSETS_TO_TXN: Shape = flexible(3, &[always(Fixed(4)), always(Fixed(2))]);
pub(super) const TXN_OFFSET_COMMIT: Shape = flexible(
    3,
    &[always(Fixed(4)), always(List(&[always(Text), always(List(&[always(Fixed(4)), always(Fixed(2))]))]))],
);
pub(super) const END_TXN: Shape = flexible(3, &[always(Fixed(4)), always(Fixed(2))]);
