//! Which keywords there are: those that we follow, those that we leave out, and those that we must not leave out.

/// A keyword whose value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    AddressFamily,
    BatchMode,
    CanonicalizeHostname,
    CertificateFile,
    ConnectTimeout,
    GlobalKnownHostsFile,
    HashKnownHosts,
    HostKeyAlias,
    HostName,
    IdentitiesOnly,
    IdentityAgent,
    IdentityFile,
    KbdInteractiveAuthentication,
    PasswordAuthentication,
    Port,
    ProxyCommand,
    ProxyJump,
    PubkeyAuthentication,
    RevokedHostKeys,
    ServerAliveCountMax,
    ServerAliveInterval,
    StrictHostKeyChecking,
    User,
    UserKnownHostsFile,
}

/// What a keyword is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Followed(Key),
    /// Known to `ssh`, and of no harm when it is left out.
    LeftOut(&'static str),
    Unknown,
}

pub(super) fn kind(word: &str) -> Kind {
    use Key as K;
    Kind::Followed(match word {
        "addressfamily" => K::AddressFamily,
        "batchmode" => K::BatchMode,
        "canonicalizehostname" => K::CanonicalizeHostname,
        "certificatefile" => K::CertificateFile,
        "connecttimeout" => K::ConnectTimeout,
        "globalknownhostsfile" => K::GlobalKnownHostsFile,
        "hashknownhosts" => K::HashKnownHosts,
        "hostkeyalias" => K::HostKeyAlias,
        "hostname" => K::HostName,
        "identitiesonly" => K::IdentitiesOnly,
        "identityagent" => K::IdentityAgent,
        "identityfile" => K::IdentityFile,
        "kbdinteractiveauthentication"
        | "challengeresponseauthentication"
        | "skeyauthentication"
        | "tisauthentication" => K::KbdInteractiveAuthentication,
        "passwordauthentication" => K::PasswordAuthentication,
        "port" => K::Port,
        "proxycommand" => K::ProxyCommand,
        "proxyjump" => K::ProxyJump,
        "pubkeyauthentication" | "dsaauthentication" => K::PubkeyAuthentication,
        "revokedhostkeys" => K::RevokedHostKeys,
        "serveralivecountmax" => K::ServerAliveCountMax,
        "serveraliveinterval" => K::ServerAliveInterval,
        "stricthostkeychecking" => K::StrictHostKeyChecking,
        "user" => K::User,
        "userknownhostsfile" | "userknownhostsfile2" => K::UserKnownHostsFile,
        other => return left_out(other),
    })
}

fn left_out(word: &str) -> Kind {
    Kind::LeftOut(match word {
        "casignaturealgorithms"
        | "ciphers"
        | "fingerprinthash"
        | "hostbasedacceptedalgorithms"
        | "hostbasedkeytypes"
        | "hostkeyalgorithms"
        | "kexalgorithms"
        | "macs"
        | "pubkeyacceptedalgorithms"
        | "pubkeyacceptedkeytypes"
        | "rekeylimit"
        | "requiredrsasize"
        | "rsaminsize" => "algorithms are chosen by us: those without known weaknesses",
        "addkeystoagent"
        | "clearallforwardings"
        | "dynamicforward"
        | "exitonforwardfailure"
        | "forwardagent"
        | "forwardx11"
        | "forwardx11timeout"
        | "forwardx11trusted"
        | "gatewayports"
        | "localforward"
        | "permitremoteopen"
        | "remoteforward"
        | "streamlocalbindmask"
        | "streamlocalbindunlink"
        | "tunnel"
        | "tunneldevice"
        | "xauthlocation" => "nothing is ever forwarded",
        "checkhostip"
        | "nohostauthenticationforlocalhost"
        | "updatehostkeys"
        | "verifyhostkeydns"
        | "visualhostkey" => "keys of hosts are checked against files and authorities, always",
        "canonicaldomains"
        | "canonicalizefallbacklocal"
        | "canonicalizemaxdots"
        | "canonicalizepermittedcnames" => "names are not canonicalised",
        "enablesshkeysign"
        | "gssapiauthentication"
        | "gssapiclientidentity"
        | "gssapidelegatecredentials"
        | "gssapikexalgorithms"
        | "gssapikeyexchange"
        | "gssapirenewalforcesrekey"
        | "gssapiserveridentity"
        | "gssapitrustdns"
        | "hostbasedauthentication"
        | "numberofpasswordprompts"
        | "pkcs11provider"
        | "preferredauthentications"
        | "rhostsrsaauthentication"
        | "rsaauthentication"
        | "securitykeyprovider"
        | "smartcarddevice" => "agents, keys, certificates, answers and passwords are what we can do",
        "bindaddress" | "bindinterface" | "compression" | "compressionlevel" | "connectionattempts"
        | "controlmaster" | "controlpath" | "controlpersist" | "ipqos" | "proxyusefdpass"
        | "tcpkeepalive" | "channeltimeout" => "the connection is our own, one for each host",
        "cipher"
        | "protocol"
        | "useprivilegedport"
        | "useroaming"
        | "afstokenpassing"
        | "kerberosauthentication"
        | "kerberostgtpassing"
        | "fallbacktorsh"
        | "usersh"
        | "keepalive" => "OpenSSH itself leaves it out by now",
        "enableescapecommandline"
        | "escapechar"
        | "forkafterauthentication"
        | "ignoreunknown"
        | "localcommand"
        | "loglevel"
        | "logverbose"
        | "obscurekeystroketiming"
        | "permitlocalcommand"
        | "remotecommand"
        | "requesttty"
        | "sendenv"
        | "sessiontype"
        | "setenv"
        | "stdinnull"
        | "syslogfacility"
        | "tag"
        | "versionaddendum" => "it is for a person's own session",
        _ => return Kind::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_that_ssh_prints_is_known() {
        let out =
            std::process::Command::new("ssh").args(["-G", "-F", "/dev/null", "x"]).output().expect("ssh");
        let text = String::from_utf8(out.stdout).expect("text");
        let unknown: Vec<&str> = text
            .lines()
            .filter_map(|l| l.split_whitespace().next())
            .filter(|w| {
                !matches!(*w, "host" | "match" | "include") && kind(&w.to_lowercase()) == Kind::Unknown
            })
            .collect();
        assert!(unknown.is_empty() && text.lines().count() > 50, "{unknown:?}");
    }
}
