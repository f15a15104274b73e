# What a box of seatrial is like; the Vagrantfile of whoever uses it may say otherwise.
Vagrant.configure("2") do |config|
  config.ssh.insert_key = false # the machine is thrown away
  config.vm.guest = :debian
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.allow_fstab_modification = false
  config.vm.allow_hosts_modification = false
  config.vm.provider :libvirt do |libvirt|
    libvirt.machine_type = "q35"
    libvirt.disk_bus = "virtio"
    libvirt.nic_model_type = "virtio"
    libvirt.graphics_type = "none"
    libvirt.video_type = "none"
    libvirt.random model: "random"
    # The boot loader reads this.
    mode = ENV["SEATRIAL_CGROUP"].to_s
    libvirt.sysinfo = { "oem strings" => ["seatrial.cgroup=#{mode}"] } unless mode.empty?
  end
end
