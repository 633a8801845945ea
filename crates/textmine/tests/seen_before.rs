//! "Have we seen this before?", on incidents that we made up: faults that come back in other words and with other
//! values must find each other first, and what is unrelated must stay below the threshold.

use wellkept_textmine::{Background, Fingerprint, MATCH_MIN, Tokeniser, key_terms, similar, similar_from};

/// What every incident's surroundings say anyway.
const USUAL: &[&str] = &[
    "GET /api/orders/17 200 12ms",
    "user 4711 logged in from 10.0.0.7",
    "scheduled job cleanup finished in 3s",
    "connection from worker 3 accepted",
    "健康检查通过, 耗时 3 毫秒",
    "用户 1024 登录成功",
    "定时任务执行完成",
];

/// Faults; each with tellings of the same fault at different times.
const FAULTS: &[&[&[&str]]] = &[
    &[
        &["cannot write /data/wal/0001: No space left on device", "database system is shutting down"],
        &[
            "could not extend file base/5/16384: No space left on device",
            "checkpoint failed, disk full on /data",
        ],
        &["write to /data/tmp/x.bin failed: No space left on device (28)", "WAL writer stopped: disk full"],
    ],
    &[
        &["磁盘空间不足, 写入文件失败: /数据/日志", "数据库停止写入"],
        &["写入日志文件失败: 磁盘空间不足 (剩余 0 字节)", "服务切换为只读"],
        &["磁盘 sda1 使用率 100%, 磁盘空间不足", "写入失败, 请清理磁盘"],
    ],
    &[
        &["Out of memory: Killed process 4211 (java)", "service app exited with signal 9"],
        &["oom-killer invoked by nginx", "Out of memory: Killed process 99 (java) total-vm:8123412kB"],
        &["Memory cgroup out of memory: Killed process 7 (python)", "app exited with signal 9"],
    ],
    &[
        &["数据库连接失败: 连接被拒绝 10.1.1.5:3306", "订单服务无法访问数据库"],
        &["无法建立数据库连接, 连接被拒绝", "重试数据库连接 3 次后放弃"],
        &["数据库连接池耗尽, 连接被拒绝", "用户服务无法访问数据库"],
    ],
    &[
        &["x509: certificate has expired or is not yet valid", "TLS handshake failed with upstream billing"],
        &["TLS handshake error from 10.2.0.4: certificate has expired", "upstream billing unavailable"],
        &["certificate expired 2 days ago for api.shop", "TLS handshake failed"],
    ],
    &[
        &["lookup db.internal: no such host", "resolver timeout after 5s"],
        &["DNS resolver timeout for cache.internal", "lookup cache.internal: no such host"],
        &["temporary failure in name resolution: lookup mq.internal: no such host"],
    ],
    &[
        &["deadlock detected on table orders", "transaction aborted, lock wait timeout exceeded"],
        &["lock wait timeout exceeded; try restarting transaction", "deadlock found when trying to get lock"],
    ],
    &[
        &["网络超时: 无法连接到消息队列", "消息积压超过阈值"],
        &["消息队列连接超时", "消息积压 20000 条, 超过阈值"],
    ],
];

fn fingerprints() -> Vec<((usize, usize), Fingerprint)> {
    let tokeniser = Tokeniser::new();
    let mut background = Background::default();
    for line in USUAL {
        background.add_times(&tokeniser, line.as_bytes(), 1_000);
    }
    let mut out = Vec::new();
    for (fault, tellings) in FAULTS.iter().enumerate() {
        for (k, telling) in tellings.iter().enumerate() {
            let lines: Vec<&[u8]> = telling.iter().chain(USUAL).map(|l| l.as_bytes()).collect();
            let terms = key_terms(&tokeniser, &lines, &background, 20);
            out.push(((fault, k), Fingerprint::new(&[], &["service"], &[], &terms)));
        }
    }
    out
}

#[test]
fn a_fault_told_again_finds_its_like_first_and_nothing_unrelated() {
    let all = fingerprints();
    let (mut right, mut alike_min, mut other_max, mut above) = (0, 1.0_f64, 0.0_f64, 0);
    for (id, now) in &all {
        let past: Vec<_> = all.iter().filter(|(other, _)| other != id).cloned().collect();
        let ranked = similar_from(0.0, now, &past, past.len());
        right += usize::from(ranked.first().is_some_and(|m| m.id.0 == id.0));
        let like = ranked.iter().find(|m| m.id.0 == id.0).map_or(0.0, |m| m.score);
        let other = ranked.iter().find(|m| m.id.0 != id.0).map_or(0.0, |m| m.score);
        (alike_min, other_max) = (alike_min.min(like), other_max.max(other));
        println!(
            "{id:?} like {like:.3} other {other:.3} {:?}",
            ranked.first().map(|m| (&m.id, &m.why.terms))
        );
        let found = similar(now, &past, 5);
        above += usize::from(found.first().is_some_and(|m| m.id.0 == id.0));
        assert!(found.iter().all(|m| m.id.0 == id.0), "{id:?} is called like {found:?}");
    }
    println!(
        "{right} of {} first, {above} above {MATCH_MIN}; alike from {alike_min:.3}, others to {other_max:.3}",
        all.len()
    );
    assert!(right * 10 >= all.len() * 9, "{right} of {} found their like first", all.len());
    assert!(above * 10 >= all.len() * 8, "{above} of {} above the threshold", all.len());
}
